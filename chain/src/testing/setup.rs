//! A chain with the contracts on it and one volume open.

use super::{Anvil, FAST};
use crate::bindings::{AcceptCall, OfferCall, Terms, deposits, token};
use crate::create::{DEPOSIT_FUNDING, STORAGE_STAKING, TEST_TOKEN, creation};
use crate::message::SignerProof;
use crate::party::Receipt;
use crate::volume::offered;
use crate::{Chain, Config, Contract, EthAnchor, Finality, Key, Party, Purse, VolumeName};
use cairn_block::Cancel;
use ethers_core::abi::{AbiEncode, Token};
use ethers_core::types::{Address, Bytes, H256};
use std::time::Duration;

/// What the provider stakes.
pub const STAKE: u128 = 1_000_000;
/// What a challenge costs until it is answered.
pub const BOND: u128 = 1_000;
/// Time to answer, in seconds.
pub const WINDOW: u32 = 3600;
/// Time from the first notice of being unpaid, in seconds.
pub const GRACE: u32 = 7200;
/// What must be deposited.
pub const MIN_FUNDING: u128 = 100;

/// The chain and all parties on it.
#[derive(Debug)]
pub struct Setup {
    /// The chain.
    pub anvil: Anvil,
    /// Owns the data.
    pub publisher: Key,
    /// Stakes.
    pub provider: Key,
    /// The storage plane's key.
    pub signer: Key,
    /// Pays for the storage plane.
    pub gas: Key,
    /// The staking contract.
    pub staking: Address,
    /// The token of stake and bonds.
    pub token: Address,
    /// Where the publisher pays.
    pub funding: Address,
    /// The volume.
    pub volume: VolumeName,
}

impl Setup {
    /// Everything in place, and the volume open and paid for.
    pub fn new() -> Self {
        Self::on(Anvil::start())
    }

    /// The same on a chain that runs already.
    pub fn on(anvil: Anvil) -> Self {
        let [publisher, provider, gas] = [anvil.account(), anvil.account(), anvil.account()];
        let volume = VolumeName {
            publisher: publisher.address(),
            provider: provider.address(),
            pod: H256::repeat_byte(0x11),
            index: 0,
        };
        let mut setup = Self {
            anvil,
            publisher,
            provider,
            gas,
            signer: Key::random(),
            staking: Address::zero(),
            token: Address::zero(),
            funding: Address::zero(),
            volume,
        };
        setup.staking = setup.create(STORAGE_STAKING, &[]);
        setup.token = setup.create(TEST_TOKEN, &[]);
        setup.funding = setup.create(DEPOSIT_FUNDING, &[Token::Address(setup.token)]);
        for account in [setup.publisher.address(), setup.provider.address()] {
            let call = token::MintCall {
                account,
                amount: (100 * STAKE).into(),
            };
            setup.send(&setup.gas, setup.token, call);
        }
        setup.pay(10 * MIN_FUNDING);
        setup.open();
        setup.anvil.settle();
        setup
    }

    fn create(&self, code: &str, arguments: &[Token]) -> Address {
        let receipt = self.transact(
            &self.gas,
            None,
            creation(code, arguments).expect("committed code"),
        );
        receipt.contract_address.expect("it was created")
    }

    fn open(&self) {
        self.approve(&self.provider, self.staking, STAKE);
        let now = self.contract_now().chain().newest().expect("a block").timestamp;
        let call = OfferCall {
            key: self.volume.into(),
            terms: self.terms(),
            signer: self.signer.address(),
            expires: now + 86_400,
        };
        self.send(&self.provider, self.staking, call);
        let contract = self.contract_now();
        let record = contract
            .record(&contract.view().expect("a view"), self.volume.id())
            .expect("the offer");
        let agreement = offered(&record, self.signer.address());
        let digest = |message| contract.domain().digest(&SignerProof(message));
        let call = AcceptCall {
            volume: self.volume.id().0,
            signer: self.signer.address(),
            publisher_signature: self
                .publisher
                .sign(&contract.domain().digest(&agreement))
                .to_vec()
                .into(),
            signer_proof: self.signer.sign(&digest(&agreement)).to_vec().into(),
        };
        self.send(&self.publisher, self.staking, call);
    }

    /// The terms of the volume.
    pub fn terms(&self) -> Terms {
        Terms {
            token: self.token,
            stake: STAKE,
            bond: BOND,
            funding: self.funding,
            min_funding: MIN_FUNDING,
            arbiter: Address::zero(),
            challenge_window: WINDOW,
            cooldown: 60,
            grace: GRACE,
            notice: GRACE,
            stale_epochs: 100,
            refund_share_bps: 1000,
            equivocation: 0,
        }
    }

    /// The publisher pays in.
    pub fn pay(&self, amount: u128) {
        self.approve(&self.publisher, self.funding, amount);
        let call = deposits::DepositCall {
            provider: self.volume.provider,
            pod_id: self.volume.pod.0,
            amount: amount.into(),
        };
        self.send(&self.publisher, self.funding, call);
    }

    /// Lets `spender` take tokens of `owner`.
    pub fn approve(&self, owner: &Key, spender: Address, amount: u128) {
        self.send(
            owner,
            self.token,
            token::ApproveCall {
                spender,
                value: amount.into(),
            },
        );
    }

    /// Sends a call, which must succeed, and waits until it is in a block.
    pub fn send(&self, from: &Key, to: Address, call: impl AbiEncode) -> Receipt {
        self.transact(from, Some(to), call.encode().into())
    }

    /// Sends a call of the staking contract, which may be refused.
    pub fn try_send(&self, from: &Key, call: impl AbiEncode) -> crate::Result<Receipt> {
        self.party(from)
            .send(Some(self.staking), call.encode().into(), &Cancel::new())
    }

    fn transact(&self, from: &Key, to: Option<Address>, data: Bytes) -> Receipt {
        self.party(from)
            .send(to, data, &Cancel::new())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn party(&self, key: &Key) -> Party {
        let contract = Contract::unverified(self.chain(Finality::Confirmations(0)));
        Party::new(contract, Purse::new(key.clone(), Anvil::fees()), FAST)
    }

    fn chain(&self, finality: Finality) -> Chain {
        let quorum = self.config().quorum().expect("one endpoint");
        Chain::new(quorum, self.config().chain_id, finality, None)
    }

    /// The contract as the newest block has it.
    pub fn contract_now(&self) -> Contract {
        Contract::new(self.chain(Finality::Confirmations(0)), self.staking, None)
    }

    /// A configuration without keys.
    pub fn config(&self) -> Config {
        let mut config = Config::new(vec![self.anvil.url().into()], 31337, self.staking, self.volume);
        config.block_age_max_secs = 0;
        config.deadline_secs = 20;
        config.poll_millis = 20;
        config.patience_secs = 60;
        config
    }

    /// An instance of the storage plane.
    pub fn anchor(&self) -> EthAnchor {
        self.anchor_with(&self.config(), &self.signer)
    }

    /// One with other endpoints, settings, or another signer.
    pub fn anchor_with(&self, config: &Config, signer: &Key) -> EthAnchor {
        let purse = Purse::new(self.gas.clone(), Anvil::fees());
        let contract = config.contract().expect("a configuration that makes sense");
        EthAnchor::new(
            contract,
            &self.volume,
            signer.clone(),
            purse,
            config.pace(),
            config.locator.clone(),
        )
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives up a wait after so long.
pub fn within(time: Duration) -> Cancel {
    let cancel = Cancel::new();
    let own = cancel.clone();
    std::thread::spawn(move || {
        own.wait(time);
        own.cancel();
    });
    cancel
}
