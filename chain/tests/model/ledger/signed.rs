//! An act as a transaction: its sender, and the signer of its content.

use super::{Ledger, POD};
use crate::rules::{Act, Check, KeyNo, Root, Who};
use cairn_chain::Key;
use cairn_chain::bindings::{self as calls, Checked, Publication, deposits};
use cairn_chain::message::{
    Agreement, Answer, Batch, Boot, Heal, Message, Receipt, Replacement, Rotation, Settlement, SignerProof,
};
use ethers_core::abi::AbiEncode;
use ethers_core::types::{Address, Bytes, H256};

impl Ledger {
    pub(crate) fn address(&self, who: Who) -> Address {
        match who {
            Who::Publisher => self.setup.publisher.address(),
            Who::Provider => self.setup.provider.address(),
            Who::Arbiter => self.arbiter,
            Who::Stranger => self.stranger,
        }
    }

    fn sign(&self, by: KeyNo, message: &impl Message) -> Bytes {
        self.signed(&self.keys[by], message)
    }

    fn signed(&self, key: &Key, message: &impl Message) -> Bytes {
        key.sign(&self.contract.domain().digest(message)).to_vec().into()
    }

    /// The publisher's and the provider's signature, or another's for the provider's.
    fn both(&self, message: &impl Message, agreed: bool) -> (Bytes, Bytes) {
        let provider = if agreed {
            &self.setup.provider
        } else {
            &self.setup.publisher
        };
        (
            self.signed(&self.setup.publisher, message),
            self.signed(provider, message),
        )
    }

    fn agreement(&self, v: usize, signer: KeyNo) -> Agreement {
        cairn_chain::volume::offered(&self.record(v), self.keys[signer].address())
    }

    fn checked(&self, v: usize, check: &Check) -> Checked {
        Checked {
            volume: self.id(v),
            boot: check.boot,
            number: check.number,
            epoch: check.epoch,
            root: check.root,
        }
    }

    /// Who sends what to whom.
    pub(crate) fn transaction(&self, act: &Act) -> (Address, Address, Bytes) {
        let to = match act {
            Act::Deposit { .. } | Act::Draw { .. } => self.setup.funding,
            _ => self.setup.staking,
        };
        let (from, data) = match *act {
            Act::Deposit { amount } => (Who::Publisher, self.deposit(amount)),
            Act::Draw { amount } => (Who::Provider, self.draw(amount)),
            Act::Offer { by, .. }
            | Act::WithdrawOffer { by, .. }
            | Act::Accept { by, .. }
            | Act::Challenge { by, .. }
            | Act::Rule { by, .. }
            | Act::GiveNotice { by, .. }
            | Act::Exit { by, .. }
            | Act::Release { by, .. }
            | Act::Withdraw { by } => (by, self.called(act)),
            _ => (Who::Stranger, self.relayed(act)),
        };
        (self.address(from), to, data.into())
    }

    /// What only some may call.
    fn called(&self, act: &Act) -> Vec<u8> {
        match *act {
            Act::Offer {
                v,
                ref terms,
                signer,
                expires,
                ..
            } => {
                let signer = signer.map_or(Address::zero(), |key| self.keys[key].address());
                let (key, terms) = (self.volumes[v].into(), (**terms).clone());
                calls::OfferCall {
                    key,
                    terms,
                    signer,
                    expires,
                }
                .encode()
            }
            Act::WithdrawOffer { v, .. } => calls::WithdrawOfferCall { volume: self.id(v) }.encode(),
            Act::Accept {
                v,
                signer,
                consent,
                proof,
                ..
            } => self.acceptance(v, signer, consent, proof),
            Act::Challenge { v, track, .. } => {
                let (volume, track) = (self.id(v), track as u8);
                calls::ChallengeCall { volume, track }.encode()
            }
            Act::Rule { v, share_bps, .. } => {
                let volume = self.id(v);
                calls::RuleCall { volume, share_bps }.encode()
            }
            Act::GiveNotice { v, .. } => calls::GiveNoticeCall { volume: self.id(v) }.encode(),
            Act::Exit { v, .. } => calls::ExitCall { volume: self.id(v) }.encode(),
            Act::Release { v, .. } => calls::ReleaseCall { volume: self.id(v) }.encode(),
            Act::Withdraw { by } => {
                let (token, to) = (self.setup.token, self.address(by));
                calls::WithdrawCall { token, to }.encode()
            }
            ref other => unreachable!("{other:?} is sent elsewhere"),
        }
    }

    fn deposit(&self, amount: u128) -> Vec<u8> {
        let (provider, pod_id, amount) = (self.address(Who::Provider), POD.0, amount.into());
        deposits::DepositCall {
            provider,
            pod_id,
            amount,
        }
        .encode()
    }

    fn draw(&self, amount: u128) -> Vec<u8> {
        let (publisher, pod_id, amount) = (self.address(Who::Publisher), POD.0, amount.into());
        deposits::DrawCall {
            publisher,
            pod_id,
            amount,
        }
        .encode()
    }

    fn acceptance(&self, v: usize, signer: KeyNo, consent: bool, proof: KeyNo) -> Vec<u8> {
        let agreement = self.agreement(v, signer);
        let publisher = if consent {
            &self.setup.publisher
        } else {
            &self.setup.provider
        };
        calls::AcceptCall {
            volume: self.id(v),
            signer: self.keys[signer].address(),
            publisher_signature: self.signed(publisher, &agreement),
            signer_proof: self.sign(proof, &SignerProof(&agreement)),
        }
        .encode()
    }

    /// The call of an act that any account may send.
    fn relayed(&self, act: &Act) -> Vec<u8> {
        match *act {
            Act::OpenPlane { key } => calls::OpenPlaneCall {
                signer: self.keys[key].address(),
            }
            .encode(),
            Act::Boot { head, boot, by } => {
                let (volume, nonce) = (self.id(head), [7; 32]);
                let signature = self.sign(
                    by,
                    &Boot {
                        volume: H256(volume),
                        boot,
                        nonce,
                    },
                );
                calls::BootCall {
                    volume,
                    number: boot,
                    nonce,
                    signature,
                }
                .encode()
            }
            Act::Publish {
                ref publication, by, ..
            } => {
                let digest = self.contract.domain().digest(publication);
                let (r, vs) = self.keys[by].sign_compact(&digest);
                calls::PublishCall {
                    r,
                    vs,
                    publication: publication.clone(),
                }
                .encode()
            }
            Act::Batch {
                ref publications, by, ..
            } => {
                let signature = self.sign(by, &Batch(publications));
                calls::PublishBatchCall {
                    publications: publications.clone(),
                    signature,
                }
                .encode()
            }
            Act::Checkpoint { ref publication, .. } => calls::CheckpointCall {
                publication: publication.clone(),
                proof: Vec::new(),
            }
            .encode(),
            Act::Claim { v, track } => calls::ClaimCall {
                volume: self.id(v),
                track: track as u8,
            }
            .encode(),
            Act::ClaimFrozen { v } => calls::ClaimFrozenCall { volume: self.id(v) }.encode(),
            Act::StartGrace { v } => calls::StartGraceCall { volume: self.id(v) }.encode(),
            Act::CancelGrace { v } => calls::CancelGraceCall { volume: self.id(v) }.encode(),
            Act::Equivocate {
                v,
                boot,
                epoch,
                roots,
                by,
            } => self.evidence(v, boot, epoch, roots, by),
            ref other => self.said(other),
        }
    }

    /// What the storage plane, or the publisher, says of one volume.
    fn said(&self, act: &Act) -> Vec<u8> {
        match *act {
            Act::Answer { v, check } => {
                let checked = self.checked(v, &check);
                let signature = self.sign(check.by, &Answer(&checked));
                calls::AnswerCall { checked, signature }.encode()
            }
            Act::Heal { v, check } => {
                let checked = self.checked(v, &check);
                let signature = self.sign(check.by, &Heal(&checked));
                calls::HealCall { checked, signature }.encode()
            }
            Act::Fault { v, check, surviving } => self.fault(v, &check, surviving),
            Act::Locate { v, check, text } => {
                let locator = calls::Locator {
                    volume: self.id(v),
                    boot: check.boot,
                    number: check.number,
                    epoch: check.epoch,
                    root: check.root,
                    locator: text.into(),
                };
                let signature = self.sign(check.by, &locator);
                calls::LocateCall { locator, signature }.encode()
            }
            Act::Acknowledge { v, number, by } => {
                let volume = self.id(v);
                let key = if by == Who::Publisher {
                    &self.setup.publisher
                } else {
                    &self.setup.provider
                };
                let publisher_signature = self.signed(
                    key,
                    &Receipt {
                        volume: H256(volume),
                        number,
                    },
                );
                calls::AcknowledgeCall {
                    volume,
                    number,
                    publisher_signature,
                }
                .encode()
            }
            ref other => self.agreed(other),
        }
    }

    /// What takes more than one signature.
    fn agreed(&self, act: &Act) -> Vec<u8> {
        match *act {
            Act::Rotate {
                v,
                to,
                boot,
                rotation,
                old,
            } => {
                let (volume, signer) = (self.id(v), self.keys[to].address());
                let message = Rotation {
                    volume: H256(volume),
                    boot,
                    rotation,
                    signer,
                };
                let (old_signature, new_signature) = (self.sign(old, &message), self.sign(to, &message));
                calls::RotateSignerCall {
                    volume,
                    signer,
                    old_signature,
                    new_signature,
                }
                .encode()
            }
            Act::Replace {
                v,
                to,
                rotation,
                agreed,
            } => {
                let (volume, signer) = (self.id(v), self.keys[to].address());
                let message = Replacement {
                    volume: H256(volume),
                    rotation,
                    signer,
                };
                let (publisher_signature, provider_signature) = self.both(&message, agreed);
                let new_signature = self.sign(to, &message);
                calls::ReplaceSignerCall {
                    volume,
                    signer,
                    publisher_signature,
                    provider_signature,
                    new_signature,
                }
                .encode()
            }
            Act::Settle {
                v,
                to_publisher,
                expires,
                agreed,
            } => self.settlement(v, to_publisher, expires, agreed),
            ref other => unreachable!("{other:?} is sent elsewhere"),
        }
    }

    fn settlement(&self, v: usize, to_publisher: u128, expires: u64, agreed: bool) -> Vec<u8> {
        let volume = self.id(v);
        let message = Settlement {
            volume: H256(volume),
            to_publisher,
            expires,
        };
        let (publisher_signature, provider_signature) = self.both(&message, agreed);
        calls::SettleCall {
            volume,
            to_publisher,
            expires,
            publisher_signature,
            provider_signature,
        }
        .encode()
    }

    fn fault(&self, v: usize, check: &Check, surviving: (u64, Root)) -> Vec<u8> {
        let fault = calls::Fault {
            volume: self.id(v),
            boot: check.boot,
            number: check.number,
            epoch: check.epoch,
            root: check.root,
            surviving_epoch: surviving.0,
            surviving_root: surviving.1,
        };
        let signature = self.sign(check.by, &fault);
        calls::ReportFaultCall { fault, signature }.encode()
    }

    fn evidence(&self, v: usize, boot: u64, epoch: u64, roots: [Root; 2], by: KeyNo) -> Vec<u8> {
        let of = |root| {
            let publication = Publication {
                volume: self.id(v),
                boot,
                epoch,
                root,
                previous_root: [0; 32],
            };
            calls::Evidence {
                signature: self.sign(by, &publication),
                publication,
                path: Vec::new(),
                aggregate: Publication::default(),
            }
        };
        calls::ReportEquivocationCall {
            first: of(roots[0]),
            second: of(roots[1]),
        }
        .encode()
    }
}
