//! How a volume ends without blame, and money is paid out.

use super::{Act, Outcome, Rules, Who, require};
use cairn_chain::Status;

impl Rules {
    pub(crate) fn leave(&mut self, act: &Act) -> Outcome {
        match *act {
            Act::StartGrace { v } => {
                self.volumes[v].active()?;
                require(self.volumes[v].grace_ends == 0, "AlreadyRunning")?;
                require(self.unpaid(v), "Funded")?;
                self.volumes[v].grace_ends = self.now + u64::from(self.volumes[v].terms.grace);
            }
            Act::CancelGrace { v } => {
                self.volumes[v].active()?;
                require(self.volumes[v].grace_ends != 0, "NotLeaving")?;
                require(!self.unpaid(v), "Unfunded")?;
                self.volumes[v].grace_ends = 0;
            }
            Act::Deposit { amount } => {
                self.available += amount;
                *self.holds.entry(Who::Publisher).or_default() -= amount as i128;
            }
            Act::Draw { amount } => {
                self.available = self.available.checked_sub(amount).ok_or("BeyondDeposit")?;
                *self.holds.entry(Who::Provider).or_default() += amount as i128;
            }
            Act::GiveNotice { v, by } => {
                self.volumes[v].active()?;
                require(by == Who::Provider, "NotAllowed")?;
                require(self.volumes[v].notice_ends == 0, "AlreadyRunning")?;
                self.volumes[v].notice_ends = self.now + u64::from(self.volumes[v].terms.notice);
            }
            Act::Exit { v, by } => self.exit(v, by)?,
            Act::Withdraw { by } => self.withdraw(by)?,
            Act::Release { v, by } => {
                self.volumes[v].staked()?;
                require(by == Who::Publisher, "NotAllowed")?;
                self.end(v, Status::Closed, 0);
            }
            Act::Settle {
                v,
                to_publisher,
                expires,
                agreed,
            } => {
                self.volumes[v].staked()?;
                require(self.now <= expires, "Expired")?;
                require(to_publisher <= self.volumes[v].stake, "BeyondStake")?;
                require(agreed, "WrongSignature")?;
                self.end(v, Status::Closed, to_publisher);
            }
            ref other => unreachable!("{other:?} is done elsewhere"),
        }
        Ok(())
    }

    fn exit(&mut self, v: usize, by: Who) -> Outcome {
        let volume = &self.volumes[v];
        volume.active()?;
        require(by == Who::Provider, "NotAllowed")?;
        require(volume.open.iter().all(Option::is_none), "ChallengeOpen")?;
        let over = |ends: u64| ends != 0 && self.now > ends;
        if !over(volume.notice_ends) {
            require(volume.grace_ends != 0 || volume.notice_ends != 0, "NotLeaving")?;
            require(over(volume.grace_ends), "TooEarly")?;
            require(self.unpaid(v), "Funded")?;
        }
        self.end(v, Status::Closed, 0);
        Ok(())
    }

    fn unpaid(&self, v: usize) -> bool {
        self.available < self.volumes[v].terms.min_funding
    }

    fn withdraw(&mut self, by: Who) -> Outcome {
        let amount = self.credits.remove(&by).filter(|&amount| amount > 0);
        let amount = amount.ok_or("NothingToWithdraw")?;
        self.owed -= amount;
        *self.holds.entry(by).or_default() += amount as i128;
        Ok(())
    }
}
