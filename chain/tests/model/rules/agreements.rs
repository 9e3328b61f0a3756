//! The making of a volume, and the change of its signer.

use super::{Act, Head, KeyNo, Outcome, Rules, Who, require};
use cairn_chain::Status;
use cairn_chain::bindings::Terms;

impl Rules {
    pub(crate) fn agree(&mut self, act: &Act) -> Outcome {
        match *act {
            Act::Offer {
                v,
                by,
                ref terms,
                signer,
                expires,
            } => self.offer(v, by, terms, signer, expires),
            Act::WithdrawOffer { v, by } => self.withdraw_offer(v, by),
            Act::Accept {
                v,
                by,
                signer,
                consent,
                proof,
            } => self.accept(v, by, signer, consent, proof),
            Act::Rotate {
                v,
                to,
                boot,
                rotation,
                old,
            } => self.rotate(v, to, boot, rotation, old),
            Act::Replace {
                v,
                to,
                rotation,
                agreed,
            } => self.replace(v, to, rotation, agreed),
            ref other => unreachable!("{other:?} is done elsewhere"),
        }
    }

    fn offer(&mut self, v: usize, by: Who, terms: &Terms, signer: Option<KeyNo>, expires: u64) -> Outcome {
        require(matches!(by, Who::Publisher | Who::Provider), "NotAllowed")?;
        require(terms.stake != 0 && terms.bond != 0, "BadTerms")?;
        require(self.now <= expires, "Expired")?;
        match self.volumes[v].stored {
            Status::None => (),
            Status::Offered => self.take_back(v),
            _ => return Err("WrongStatus"),
        }
        require(by != Who::Provider || signer.is_some(), "BadSigner")?;
        let volume = &mut self.volumes[v];
        (volume.stored, volume.terms) = (Status::Offered, terms.clone());
        (volume.offered_by, volume.offered_signer, volume.expires) = (by, signer, expires);
        if by == Who::Provider {
            volume.stake = terms.stake;
            self.take_in(Who::Provider, terms.stake);
        }
        Ok(())
    }

    fn withdraw_offer(&mut self, v: usize, by: Who) -> Outcome {
        require(self.volumes[v].stored == Status::Offered, "WrongStatus")?;
        require(by == self.volumes[v].offered_by, "NotAllowed")?;
        self.volumes[v].stored = Status::None;
        self.take_back(v);
        Ok(())
    }

    fn accept(&mut self, v: usize, by: Who, signer: KeyNo, consent: bool, proof: KeyNo) -> Outcome {
        let volume = &mut self.volumes[v];
        require(volume.stored == Status::Offered, "WrongStatus")?;
        require(self.now <= volume.expires, "Expired")?;
        let offered_by_provider = volume.offered_by == Who::Provider;
        require(offered_by_provider || by == Who::Provider, "NotAllowed")?;
        let left_open = !offered_by_provider && volume.offered_signer.is_none();
        require(left_open || volume.offered_signer == Some(signer), "BadSigner")?;
        require(consent && proof == signer, "WrongSignature")?;
        volume.stored = Status::Active;
        volume.opened_at = self.now;
        volume.stake = volume.terms.stake;
        volume.answers.insert(signer, 0);
        let stake = volume.stake;
        self.heads[v] = Head {
            signer: Some(signer),
            published_at: self.now,
            ..self.heads[v]
        };
        if !offered_by_provider {
            self.take_in(Who::Provider, stake);
        }
        Ok(())
    }

    fn rotate(&mut self, v: usize, to: KeyNo, boot: u64, rotation: u64, old: KeyNo) -> Outcome {
        self.volumes[v].active()?;
        let head = self.heads[v];
        require(head.boot != 0, "WrongBoot")?;
        let right = boot == head.boot && rotation == self.volumes[v].rotations + 1;
        require(right && head.signer == Some(old), "WrongSignature")?;
        let volume = &mut self.volumes[v];
        volume.rotations += 1;
        volume.answers.insert(to, volume.replacements);
        self.heads[v].signer = Some(to);
        Ok(())
    }

    fn replace(&mut self, v: usize, to: KeyNo, rotation: u64, agreed: bool) -> Outcome {
        self.volumes[v].staked()?;
        let volume = &mut self.volumes[v];
        require(agreed && rotation == volume.rotations + 1, "WrongSignature")?;
        volume.rotations += 1;
        volume.replacements += 1;
        volume.answers.insert(to, volume.replacements);
        (volume.stored, volume.frozen_until) = (Status::Active, 0);
        self.heads[v].signer = Some(to);
        Ok(())
    }
}
