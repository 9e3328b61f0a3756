//! The provider's challenges, and the cost of no answer.

use super::{Act, Check, Open, Outcome, Refusal, Root, Rules, WHOLE_BPS, Who, require};
use cairn_chain::Status;

impl Rules {
    pub(crate) fn ask(&mut self, act: &Act) -> Outcome {
        match *act {
            Act::Challenge { v, track, by } => self.challenge(v, track, by),
            Act::Answer { v, check } => {
                self.checked(v, 1, &check)?;
                self.close_answered(v, 0, Who::Provider);
                Ok(())
            }
            Act::Heal { v, check } => {
                self.checked(v, 2, &check)?;
                self.close(v, 0, Who::Publisher);
                Ok(())
            }
            Act::Fault { v, check, surviving } => self.fault(v, &check, surviving),
            Act::Acknowledge { v, number, by } => self.acknowledge(v, number, by),
            Act::Locate { v, check, text } => self.locate(v, &check, text),
            Act::Rule { v, by, share_bps } => self.rule(v, by, share_bps),
            Act::Claim { v, track } => self.claim(v, track),
            Act::ClaimFrozen { v } => self.claim_frozen(v),
            ref other => unreachable!("{other:?} is done elsewhere"),
        }
    }

    fn acknowledge(&mut self, v: usize, number: u64, by: Who) -> Outcome {
        self.volumes[v].active()?;
        let open = self.asked(v, 3)?;
        require(number == open.number, "WrongNumber")?;
        require(by == Who::Publisher, "WrongSignature")?;
        self.close_answered(v, 1, Who::Publisher);
        Ok(())
    }

    fn claim_frozen(&mut self, v: usize) -> Outcome {
        require(self.volumes[v].stored == Status::Frozen, "WrongStatus")?;
        require(self.now > self.volumes[v].frozen_until, "TooEarly")?;
        let refund = self.share(v, self.volumes[v].terms.refund_share_bps);
        self.end(v, Status::Slashed, refund);
        Ok(())
    }

    fn challenge(&mut self, v: usize, track: usize, by: Who) -> Outcome {
        let (now, head) = (self.now, self.heads[v]);
        let volume = &mut self.volumes[v];
        volume.active()?;
        require(by == Who::Publisher, "NotAllowed")?;
        require(volume.open[track].is_none(), "ChallengeOpen")?;
        require(now >= volume.cooled[track], "CoolingDown")?;
        require(track == 0 || head.root != [0; 32], "NothingPublished")?;
        volume.challenges += 1;
        let bond = volume.terms.bond;
        volume.open[track] = Some(Open {
            kind: if track == 0 { 1 } else { 3 },
            number: volume.challenges,
            opened_at: now,
            deadline: now + u64::from(volume.terms.challenge_window),
            epoch: head.epoch,
            root: head.root,
            bond,
            surviving: (0, [0; 32]),
        });
        self.take_in(Who::Publisher, bond);
        Ok(())
    }

    fn asked(&self, v: usize, kind: u8) -> Result<Open, Refusal> {
        self.volumes[v].open[usize::from(kind == 3)]
            .filter(|open| open.kind == kind)
            .ok_or("NoChallenge")
    }

    fn pending(&self, v: usize, kind: u8, check: &Check) -> Outcome {
        let open = self.asked(v, kind)?;
        require(check.number == open.number, "WrongNumber")?;
        require(self.now <= open.deadline, "TooLate")?;
        let head = self.heads[v];
        require(check.boot == head.boot && head.boot != 0, "WrongBoot")?;
        let right = (open.epoch..=head.epoch).contains(&check.epoch)
            && (check.epoch != open.epoch || check.root == open.root)
            && (check.epoch != head.epoch || check.root == head.root);
        require(right, "WrongVersion")
    }

    fn checked(&self, v: usize, kind: u8, check: &Check) -> Outcome {
        self.volumes[v].active()?;
        self.pending(v, kind, check)?;
        require(self.heads[v].signer == Some(check.by), "WrongSignature")
    }

    fn locate(&mut self, v: usize, check: &Check, text: &str) -> Outcome {
        self.volumes[v].active()?;
        self.pending(v, 3, check)?;
        require(!text.is_empty(), "BadLocator")?;
        require(self.heads[v].signer == Some(check.by), "WrongSignature")?;
        self.close_answered(v, 1, Who::Provider);
        Ok(())
    }

    fn fault(&mut self, v: usize, check: &Check, surviving: (u64, Root)) -> Outcome {
        let (now, head) = (self.now, self.heads[v]);
        let volume = &mut self.volumes[v];
        volume.active()?;
        require(check.boot == head.boot && head.boot != 0, "WrongBoot")?;
        require(head.root != [0; 32], "NothingPublished")?;
        require(check.number == volume.faults + 1, "WrongNumber")?;
        require(
            (check.epoch, check.root) == (head.epoch, head.root),
            "WrongVersion",
        )?;
        let nothing = surviving.1 == [0; 32];
        let older = if nothing {
            surviving.0 == 0
        } else {
            surviving.0 < head.epoch
        };
        require(older, "WrongVersion")?;
        require(head.signer == Some(check.by), "WrongSignature")?;
        let before = volume.open[0];
        require(before.is_none_or(|open| now <= open.deadline), "TooLate")?;
        volume.challenges += 1;
        volume.faults += 1;
        volume.open[0] = Some(Open {
            kind: 2,
            number: volume.challenges,
            opened_at: before.map_or(now, |open| open.opened_at),
            deadline: before.map_or(now + u64::from(volume.terms.challenge_window), |open| {
                open.deadline
            }),
            epoch: head.epoch,
            root: head.root,
            bond: before.map_or(0, |open| open.bond),
            surviving,
        });
        Ok(())
    }

    fn rule(&mut self, v: usize, by: Who, share_bps: u16) -> Outcome {
        self.volumes[v].staked()?;
        require(by == Who::Arbiter, "NotAllowed")?;
        require(u128::from(share_bps) <= WHOLE_BPS, "BadShare")?;
        let frozen = self.volumes[v].stored == Status::Frozen;
        if !frozen {
            self.asked(v, 3)?;
        }
        match (share_bps, frozen) {
            (0, true) => self.end(v, Status::Closed, 0),
            (0, false) => self.close_answered(v, 1, Who::Provider),
            _ => self.end(v, Status::Slashed, self.share(v, share_bps)),
        }
        Ok(())
    }

    fn claim(&mut self, v: usize, track: usize) -> Outcome {
        let volume = &self.volumes[v];
        volume.staked()?;
        let open = volume.open[track].ok_or("NoChallenge")?;
        // All volumes here have an arbiter, who has one more window to rule on a retrieval.
        let more = if track == 1 {
            u64::from(volume.terms.challenge_window)
        } else {
            0
        };
        require(self.now > open.deadline + more, "TooEarly")?;
        let lost = if open.kind == 2 {
            self.lost(v, &open)
        } else {
            volume.stake
        };
        self.close(v, track, Who::Publisher);
        self.end(v, Status::Slashed, lost);
        Ok(())
    }

    /// The refund share, and of the rest as much as the lost epochs are of those that make it
    /// worthless.
    fn lost(&self, v: usize, open: &Open) -> u128 {
        let volume = &self.volumes[v];
        let full = u128::from(volume.terms.stale_epochs);
        let lost = u128::from(open.epoch - open.surviving.0);
        if open.surviving.1 == [0; 32] || lost >= full {
            return volume.stake;
        }
        let refund = self.share(v, volume.terms.refund_share_bps);
        refund + (volume.stake - refund) * lost / full
    }
}
