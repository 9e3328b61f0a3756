//! What the parties of a volume do on chain.

use super::terms::TermsFile;
use crate::cli::chain::{ConfigArgs, GraceAct, PartyArgs, TrackArgs};
use crate::error::{Error, Result};
use crate::output::{Output, Progress};
use cairn_chain::bindings::{
    AcceptCall, AcknowledgeCall, CancelGraceCall, ChallengeCall, ClaimCall, ExitCall, GiveNoticeCall,
    OfferCall, Record, ReleaseCall, RotateSignerCall, StartGraceCall, WithdrawCall, deposits, token,
};
use cairn_chain::message::{Receipt as Received, Rotation, SignerProof};
use cairn_chain::party::Receipt;
use cairn_chain::volume::offered;
use cairn_chain::{Config, Key, Party, Purse, Track};
use cairn_merkle::Cancel;
use ethers_core::abi::AbiEncode;
use ethers_core::types::{Address, Bytes, H256, U256};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A party that acts on the configured volume.
struct Actor {
    config: Config,
    key: Key,
    party: Party,
    cancel: Cancel,
    out: Output,
}

impl Actor {
    fn new(args: &PartyArgs, out: &Output) -> Result<Self> {
        let config = Config::read(&args.config.config)?;
        let key = Key::read(&args.key_file)?;
        let party = Party::new(
            config.contract()?,
            Purse::new(key.clone(), config.fees()),
            config.pace(),
        );
        Ok(Self {
            config,
            key,
            party,
            cancel: super::place::within(args.timeout),
            out: *out,
        })
    }

    fn volume(&self) -> H256 {
        self.config.volume.id()
    }

    fn record(&self) -> Result<Record> {
        let contract = self.party.contract();
        // The newest block: an offer of a moment ago is what this is about, and what is sent is
        // checked by the contract.
        contract.view()?;
        Ok(contract.record(&contract.chain().newest()?, self.volume())?)
    }

    fn digest(&self, message: &impl cairn_chain::message::Message) -> Bytes {
        self.key
            .sign(&self.party.contract().domain().digest(message))
            .to_vec()
            .into()
    }

    fn send(&self, to: Address, call: impl AbiEncode) -> Result<Receipt> {
        let progress = Progress::spinner(&self.out, "waiting until the chain has settled it");
        let sent = self.party.send(Some(to), call.encode().into(), &self.cancel);
        progress.finish();
        Ok(sent?)
    }

    fn act(&self, call: impl AbiEncode, what: &str) -> Result<()> {
        let receipt = self.send(self.party.contract().address(), call)?;
        self.tell(what, &receipt)
    }

    fn tell(&self, what: &str, receipt: &Receipt) -> Result<()> {
        let json = serde_json::json!({ "done": what, "volume": self.volume(), "receipt": receipt });
        self.out.show(&json, || {
            let Receipt {
                transaction_hash,
                block_number,
                gas_used,
                ..
            } = receipt;
            format!("{what}: transaction {transaction_hash:?} in block {block_number}, {gas_used} gas")
        })
    }

    /// Lets `spender` take `amount` of `token`, if it may not yet.
    fn approve(&self, token: Address, spender: Address, amount: u128) -> Result<()> {
        self.send(
            token,
            token::ApproveCall {
                spender,
                value: amount.into(),
            },
        )
        .map(drop)
    }
}

fn track(args: TrackArgs) -> Track {
    if args.retrieval {
        Track::Retrieval
    } else {
        Track::Storage
    }
}

/// `chain key`.
pub(super) fn key(file: &Path, out: &Output) -> Result<()> {
    let address = Key::create(file)?.address();
    out.show(
        &serde_json::json!({ "file": crate::path::json(file), "address": address }),
        || format!("{address:?}"),
    )
}

/// `chain offer`.
pub(super) fn offer(
    args: &PartyArgs,
    terms: &Path,
    signer: Option<Address>,
    valid: Duration,
    out: &Output,
) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let terms = TermsFile::read(terms)?;
    let signer = match signer {
        Some(signer) => signer,
        None => actor.config.signer()?.address(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if actor.key.address() == actor.config.volume.provider {
        actor.approve(terms.token, actor.party.contract().address(), terms.stake)?;
    }
    let call = OfferCall {
        key: actor.config.volume.into(),
        terms,
        signer,
        expires: (now + valid).as_secs(),
    };
    actor.act(call, "offered")
}

/// `chain consent`.
pub(super) fn consent(args: &ConfigArgs, out: &Output) -> Result<()> {
    let config = Config::read(&args.config)?;
    let contract = config.contract()?;
    contract.view()?;
    let record = contract.record(&contract.chain().newest()?, config.volume.id())?;
    let consent = consent_of(&config.signer()?, &contract, &record);
    out.show(&serde_json::json!({ "consent": consent }), || consent.to_string())
}

fn consent_of(signer: &Key, contract: &cairn_chain::Contract, record: &Record) -> Bytes {
    let agreement = offered(record, signer.address());
    signer
        .sign(&contract.domain().digest(&SignerProof(&agreement)))
        .to_vec()
        .into()
}

/// `chain open`.
pub(super) fn open(args: &PartyArgs, consent: Option<&Bytes>, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let record = actor.record()?;
    let (signer, signer_proof) = match consent {
        Some(consent) => (record.offered_signer, consent.clone()),
        None => {
            let signer = actor.config.signer()?;
            let consent = consent_of(&signer, actor.party.contract(), &record);
            (signer.address(), consent)
        }
    };
    let publisher_signature = actor.digest(&offered(&record, signer));
    let call = AcceptCall {
        volume: actor.volume().0,
        signer,
        publisher_signature,
        signer_proof,
    };
    actor.act(call, "opened")
}

/// `chain fund`.
pub(super) fn fund(args: &PartyArgs, amount: u128, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let terms = actor.record()?.terms;
    if terms.funding.is_zero() {
        return Err(Error::Usage(
            "the terms of this volume name no funding contract".into(),
        ));
    }
    actor.approve(terms.token, terms.funding, amount)?;
    let call = deposits::DepositCall {
        provider: actor.config.volume.provider,
        pod_id: actor.config.volume.pod.0,
        amount: amount.into(),
    };
    let receipt = actor.send(terms.funding, call)?;
    actor.tell("funded", &receipt)
}

/// `chain challenge`.
pub(super) fn challenge(args: &PartyArgs, asked: TrackArgs, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let terms = actor.record()?.terms;
    actor.approve(terms.token, actor.party.contract().address(), terms.bond)?;
    actor.act(
        ChallengeCall {
            volume: actor.volume().0,
            track: track(asked) as u8,
        },
        "challenged",
    )
}

/// `chain acknowledge`.
pub(super) fn acknowledge(args: &PartyArgs, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let contract = actor.party.contract();
    let view = contract.view()?;
    let open = contract
        .challenge(&view, actor.volume(), Track::Retrieval)?
        .ok_or_else(|| Error::Usage("no challenge to hand the volume over is open".into()))?;
    let message = Received {
        volume: actor.volume(),
        number: open.number,
    };
    let publisher_signature = actor.digest(&message);
    let call = AcknowledgeCall {
        volume: actor.volume().0,
        number: open.number,
        publisher_signature,
    };
    actor.act(call, "acknowledged")
}

/// `chain claim`.
pub(super) fn claim(args: &PartyArgs, asked: TrackArgs, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    actor.act(
        ClaimCall {
            volume: actor.volume().0,
            track: track(asked) as u8,
        },
        "claimed",
    )
}

/// `chain grace`.
pub(super) fn grace(args: &PartyArgs, act: GraceAct, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let volume = actor.volume().0;
    match act {
        GraceAct::Start => actor.act(StartGraceCall { volume }, "grace period started"),
        GraceAct::Cancel => actor.act(CancelGraceCall { volume }, "grace period cancelled"),
    }
}

/// `chain exit`.
pub(super) fn exit(args: &PartyArgs, notice: bool, release: bool, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let volume = actor.volume().0;
    if notice {
        actor.act(GiveNoticeCall { volume }, "notice given")
    } else if release {
        actor.act(ReleaseCall { volume }, "released")
    } else {
        actor.act(ExitCall { volume }, "left")
    }
}

/// `chain withdraw`.
pub(super) fn withdraw(args: &PartyArgs, to: Option<Address>, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let (token, account) = (actor.record()?.terms.token, actor.party.address());
    let contract = actor.party.contract();
    let amount: U256 = contract.credit(&contract.view()?, token, account)?;
    let receipt = actor.send(
        contract.address(),
        WithdrawCall {
            token,
            to: to.unwrap_or(account),
        },
    )?;
    actor.tell(&format!("withdrew {amount}"), &receipt)
}

/// `chain rotate`.
pub(super) fn rotate(args: &PartyArgs, new_signer: &Path, out: &Output) -> Result<()> {
    let actor = Actor::new(args, out)?;
    let (old, new) = (actor.config.signer()?, Key::read(new_signer)?);
    let contract = actor.party.contract();
    let rotation = actor.record()?.rotations + 1;
    let boot = contract.head(&contract.chain().newest()?, actor.volume())?.boot;
    let message = Rotation {
        volume: actor.volume(),
        boot,
        rotation,
        signer: new.address(),
    };
    let digest = contract.domain().digest(&message);
    let sign = |key: &Key| Bytes::from(key.sign(&digest).to_vec());
    let call = RotateSignerCall {
        volume: actor.volume().0,
        signer: new.address(),
        old_signature: sign(&old),
        new_signature: sign(&new),
    };
    actor.act(call, "signer rotated")
}
