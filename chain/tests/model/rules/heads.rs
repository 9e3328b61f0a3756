//! Which version is the newest.

use super::{Act, HeadNo, KeyNo, Outcome, Root, Rules, Who, require};
use cairn_chain::Status;
use cairn_chain::bindings::Publication;
use cairn_chain::message::Message;

const MAX_JUMP: u64 = 4096;
const JUMP_PER_SECOND: u64 = 1024;
const MAX_FIRST_EPOCH: u64 = 1 << 32;
const EPOCH_MAX: u64 = (1 << 40) - 1;

impl Rules {
    pub(crate) fn move_on(&mut self, act: &Act) -> Outcome {
        match *act {
            Act::OpenPlane { key } => self.open_plane(key),
            Act::Boot { head, boot, by } => self.boot(head, boot, by),
            Act::Publish {
                head,
                ref publication,
                by,
            } => {
                require(self.heads[head].signer == Some(by), "WrongSignature")?;
                self.advance(head, publication)
            }
            Act::Batch {
                ref heads,
                ref publications,
                by,
            } => self.batch(heads, publications, by),
            Act::Checkpoint { v, ref publication } => self.checkpoint(v, publication),
            // Both publications carry the same boot and epoch, whatever these are.
            Act::Equivocate { v, roots, by, .. } => self.equivocate(v, roots, by),
            ref other => unreachable!("{other:?} is done elsewhere"),
        }
    }

    fn open_plane(&mut self, key: KeyNo) -> Outcome {
        let now = self.now;
        let head = &mut self.heads[self.volumes.len() + key];
        require(head.signer.is_none(), "BadSigner")?;
        (head.signer, head.published_at) = (Some(key), now);
        Ok(())
    }

    fn boot(&mut self, head: HeadNo, boot: u64, by: KeyNo) -> Outcome {
        let head = &mut self.heads[head];
        require(boot == head.boot + 1, "WrongBoot")?;
        require(head.signer == Some(by), "WrongSignature")?;
        head.boot = boot;
        Ok(())
    }

    fn batch(&mut self, heads: &[HeadNo], publications: &[Publication], by: KeyNo) -> Outcome {
        let first = *heads.first().ok_or("EmptyBatch")?;
        let signer = self.heads[first].signer;
        for (&head, publication) in heads.iter().zip(publications) {
            require(self.heads[head].signer == signer, "BadSigner")?;
            self.advance(head, publication)?;
        }
        require(signer == Some(by), "WrongSignature")
    }

    fn checkpoint(&mut self, v: usize, publication: &Publication) -> Outcome {
        let plane = self.heads[v]
            .signer
            .map(|key| self.heads[self.volumes.len() + key]);
        let inside = plane.is_some_and(|plane| plane.root == publication.struct_hash());
        require(inside, "NotInAggregate")?;
        self.advance(v, publication)
    }

    fn advance(&mut self, head: HeadNo, publication: &Publication) -> Outcome {
        let (now, head) = (self.now, &mut self.heads[head]);
        let first = head.root == [0; 32];
        require(publication.boot == head.boot && head.boot != 0, "WrongBoot")?;
        require(first || publication.epoch > head.epoch, "StaleEpoch")?;
        require(publication.previous_root == head.root, "WrongPreviousRoot")?;
        require(publication.root != [0; 32], "ZeroRoot")?;
        let jump = MAX_JUMP + (now - head.published_at) * JUMP_PER_SECOND;
        let allowed = if first {
            MAX_FIRST_EPOCH
        } else {
            EPOCH_MAX.min(head.epoch + jump)
        };
        require(publication.epoch <= allowed, "JumpTooFar")?;
        (head.root, head.epoch, head.published_at) = (publication.root, publication.epoch, now);
        Ok(())
    }

    fn equivocate(&mut self, v: usize, roots: [Root; 2], by: KeyNo) -> Outcome {
        self.volumes[v].active()?;
        let volume = &self.volumes[v];
        require(roots[0] != roots[1], "NoEquivocation")?;
        require(
            volume.answers.get(&by) == Some(&volume.replacements),
            "NoEquivocation",
        )?;
        if volume.terms.equivocation == 1 {
            self.end(v, Status::Slashed, volume.stake);
            return Ok(());
        }
        let volume = &mut self.volumes[v];
        (volume.stored, volume.frozen_until) = (
            Status::Frozen,
            self.now + u64::from(volume.terms.challenge_window),
        );
        self.heads[v].signer = None;
        for track in 0..2 {
            // What is overdue stays to be claimed.
            if self.volumes[v].open[track].is_some_and(|open| self.now <= open.deadline) {
                self.close(v, track, Who::Publisher);
            }
        }
        Ok(())
    }
}
