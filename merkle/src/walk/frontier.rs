//! The links still to be visited on a walk, in bounded memory.
//!
//! ```text
//!  root --links--> frame         the newest frame is served first: depth first, so few are open
//!                  frame <- a, b    a frame: a node's name, its links, how far they were served
//!                  frame <- (dropped)    too many links held: the oldest frames drop theirs, and
//!                                        are read again
//! ```
//!
//! A node of 2 MiB can have 50,000 links, and a hostile volume can nest such nodes as deep as it
//! is large. So frames hold up to [`LINKS_MAX`] links in all. Frames without theirs take 72
//! bytes, and there are at most [`FRAMES_MAX`].

use super::fault::Flaw;
use crate::Cid;

/// Links held in frames: 36 MB.
const LINKS_MAX: usize = 1 << 20;
/// Frames: a chain of so many nested directories has 72 MB of them.
const FRAMES_MAX: usize = 1 << 20;
/// Blocks asked of the store at once: 1 MiB of records of the default size, 16 MiB at worst.
const RUN: usize = 8;

struct Frame {
    node: Cid,
    links: Option<Vec<Cid>>,
    next: usize,
}

/// What to do next.
pub(crate) enum Job {
    /// Blocks of one parent, all of one codec.
    Visit { parent: Cid, cids: Vec<Cid> },
    /// The links of this node were dropped: read it again and [`Frontier::push`] them from `next`
    /// on.
    Reload { node: Cid, next: usize },
}

/// What is still to be visited. See the module's picture.
#[derive(Default)]
pub(crate) struct Frontier {
    frames: Vec<Frame>,
    held: usize,
    /// Frames below this one have dropped their links.
    cold: usize,
}

impl Frontier {
    /// Adds the links of a node, to be served before all that was added earlier.
    pub(crate) fn push(&mut self, node: Cid, links: Vec<Cid>, next: usize) -> std::result::Result<(), Flaw> {
        if next >= links.len() {
            return Ok(());
        }
        if self.frames.len() >= FRAMES_MAX {
            return Err(Flaw::TooDeep);
        }
        self.held += links.len();
        let links = Some(links);
        self.frames.push(Frame { node, links, next });
        // The oldest first: they are served last, so most of them are dropped and read again once.
        // The newest keeps its links whatever they take, else nothing would be served.
        while self.held > LINKS_MAX && self.cold + 1 < self.frames.len() {
            self.held -= self.frames[self.cold].links.take().map_or(0, |links| links.len());
            self.cold += 1;
        }
        Ok(())
    }

    /// The next blocks: up to [`RUN`] links of the newest node. `None` when nothing is left.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let frame = self.frames.last_mut()?;
        let parent = frame.node;
        let next = frame.next;
        let Some(links) = &frame.links else {
            // The caller pushes it anew with its links: left here, it would be served twice.
            self.frames.pop();
            self.cold = self.cold.min(self.frames.len());
            return Some(Job::Reload { node: parent, next });
        };
        // One codec in a run: a walk over names fetches nodes only, and passes runs of leaves by.
        let codec = links[next].codec();
        let run = links[next..]
            .iter()
            .take(RUN)
            .take_while(|cid| cid.codec() == codec);
        let cids: Vec<_> = run.copied().collect();
        frame.next += cids.len();
        if frame.next == links.len() {
            // Before its last blocks are visited: a chain of only children takes one frame, not one
            // for each.
            self.held -= links.len();
            self.frames.pop();
            self.cold = self.cold.min(self.frames.len());
        }
        Some(Job::Visit { parent, cids })
    }
}
