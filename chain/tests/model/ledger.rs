//! The same acts on a real chain: signed, sent, and looked at.

use crate::rules::{Act, Head, HeadNo, Open, Who};
use cairn_chain::bindings::{self as calls, OwedReturn, Terms, token};
use cairn_chain::revert::Revert;
use cairn_chain::testing::{Anvil, STAKE, Setup};
use cairn_chain::{Contract, Key, Track, VolumeName};
use ethers_core::abi::{AbiDecode, AbiEncode, Token, encode};
use ethers_core::types::{Address, Bytes, H256, U256};
use ethers_core::utils::keccak256;
use serde_json::{Value, json};

mod signed;

/// More than any act takes.
const GAS: &str = "0x4c4b40";
const POD: H256 = H256::repeat_byte(0x22);

/// A chain with the contract on it, and the keys of all parties.
pub(crate) struct Ledger {
    setup: Setup,
    contract: Contract,
    volumes: Vec<VolumeName>,
    keys: [Key; 3],
    arbiter: Address,
    stranger: Address,
    owed: U256,
    held: [U256; 2],
}

impl Ledger {
    /// A fresh chain with names for so many volumes.
    pub(crate) fn new(volumes: usize) -> Self {
        // A caller need not sign: this is about the contract, and the purse has tests of its own.
        let setup = Setup::on(Anvil::start_with(&["--auto-impersonate"]));
        let (publisher, provider) = (setup.publisher.address(), setup.provider.address());
        let volumes = (0..).take(volumes).map(|index| VolumeName {
            publisher,
            provider,
            pod: POD,
            index,
        });
        let mut ledger = Self {
            contract: setup.contract_now(),
            volumes: volumes.collect(),
            keys: [Key::random(), Key::random(), Key::random()],
            arbiter: setup.anvil.account().address(),
            stranger: setup.gas.address(),
            owed: U256::zero(),
            held: [U256::zero(); 2],
            setup,
        };
        for key in [&ledger.setup.publisher, &ledger.setup.provider] {
            for spender in [ledger.setup.staking, ledger.setup.funding] {
                ledger.setup.approve(key, spender, u128::MAX);
            }
            let call = token::MintCall {
                account: key.address(),
                amount: (100_000 * STAKE).into(),
            };
            ledger.setup.send(&ledger.setup.gas, ledger.setup.token, call);
        }
        // From here on each act has a block of its own, at a time of the test's choice.
        ledger.setup.anvil.automine(false);
        ledger.owed = ledger.owed_now();
        ledger.held = [Who::Publisher, Who::Provider].map(|who| ledger.held_now(who));
        ledger
    }

    /// Terms that any volume here may have.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            arbiter: self.arbiter,
            ..self.setup.terms()
        }
    }

    /// Time of the newest block.
    pub(crate) fn now(&self) -> u64 {
        self.contract.chain().newest().expect("a block").timestamp
    }

    /// The name of a volume or plane.
    pub(crate) fn id(&self, head: HeadNo) -> [u8; 32] {
        match self.volumes.get(head) {
            Some(volume) => volume.id().0,
            None => {
                let key = &self.keys[head - self.volumes.len()];
                keccak256(encode(&[Token::Address(key.address())]))
            }
        }
    }

    /// Does `act` in a block of the time `now`; the name of the contract's error if it is refused.
    pub(crate) fn act(&self, act: &Act, now: u64) -> Result<(), String> {
        let (from, to, data) = self.transaction(act);
        let anvil = &self.setup.anvil;
        let transaction = json!([{"from": from, "to": to, "data": data, "gas": GAS}]);
        let hash: H256 = anvil.ask("eth_sendTransaction", transaction);
        anvil.ask::<Value>("evm_mine", json!([now]));
        let receipt: Value = anvil.ask("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(self.now(), now, "the block has the time it was given");
        if receipt["status"] == "0x1" {
            return Ok(());
        }
        let trace: Value = anvil.ask("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}]));
        let output: Bytes = serde_json::from_value(trace["output"].clone()).unwrap_or_default();
        Err(self.name_of(&output))
    }

    fn name_of(&self, output: &Bytes) -> String {
        let beyond = keccak256("BeyondDeposit(uint256,uint256)");
        if output.starts_with(&beyond[..4]) {
            return "BeyondDeposit".into();
        }
        let told = Revert::new(output.to_vec()).to_string();
        told.split('(').next().unwrap_or_default().to_owned()
    }

    // ---------------------------------------------------------------------------------------- what
    // stands there

    /// The head of a volume or plane.
    pub(crate) fn head(&self, head: HeadNo) -> Head {
        let found = self
            .contract
            .head(&self.view(), H256(self.id(head)))
            .expect("a head");
        let signer = self.keys.iter().position(|key| key.address() == found.signer);
        assert!(
            signer.is_some() || found.signer.is_zero(),
            "a signer that no party has named"
        );
        Head {
            root: found.root,
            epoch: found.epoch,
            boot: found.boot,
            published_at: found.published_at,
            signer,
        }
    }

    /// The record of a volume.
    pub(crate) fn record(&self, v: usize) -> calls::Record {
        self.contract
            .record(&self.view(), self.volumes[v].id())
            .expect("a record")
    }

    /// What is open on a track.
    pub(crate) fn open(&self, v: usize, track: usize) -> Option<Open> {
        let track = if track == 0 {
            Track::Storage
        } else {
            Track::Retrieval
        };
        let open = self
            .contract
            .challenge(&self.view(), self.volumes[v].id(), track)
            .expect("a track");
        open.map(|open| Open {
            kind: open.kind,
            number: open.number,
            opened_at: open.opened_at,
            deadline: open.deadline,
            epoch: open.epoch,
            root: open.root,
            bond: open.bond,
            surviving: (open.surviving_epoch, open.surviving_root),
        })
    }

    /// The amount that a party may withdraw.
    pub(crate) fn credit(&self, who: Who) -> U256 {
        let credit = self
            .contract
            .credit(&self.view(), self.setup.token, self.address(who));
        credit.expect("a credit")
    }

    /// The contract's debts since the beginning.
    pub(crate) fn owed(&self) -> U256 {
        self.owed_now() - self.owed
    }

    /// What the publisher or the provider has won or lost.
    pub(crate) fn won(&self, who: Who) -> i128 {
        let (now, before) = (self.held_now(who), self.held[usize::from(who == Who::Provider)]);
        if now >= before {
            (now - before).as_u128() as i128
        } else {
            -((before - now).as_u128() as i128)
        }
    }

    /// The contract holds just what it owes.
    pub(crate) fn is_solvent(&self) -> bool {
        self.held_by(self.setup.staking) == self.owed_now()
    }

    fn view(&self) -> cairn_chain::View {
        self.contract.view().expect("a block")
    }

    fn owed_now(&self) -> U256 {
        let call = calls::OwedCall {
            token: self.setup.token,
        };
        let owed: OwedReturn = self.read(self.setup.staking, call);
        owed.0
    }

    fn held_now(&self, who: Who) -> U256 {
        self.held_by(self.address(who))
    }

    fn held_by(&self, account: Address) -> U256 {
        let held: token::BalanceOfReturn = self.read(self.setup.token, token::BalanceOfCall { account });
        held.0
    }

    fn read<T: AbiDecode>(&self, to: Address, call: impl AbiEncode) -> T {
        let data = Bytes::from(call.encode());
        let answer: Bytes = self
            .setup
            .anvil
            .ask("eth_call", json!([{"to": to, "data": data}, "latest"]));
        T::decode(answer).expect("what the ABI says")
    }
}
