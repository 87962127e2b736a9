//! A recording of what the journal does to its disk, and what a power cut at any place of it may
//! leave.
//!
//! What was synced stays. Of what was not, any part may be there: the sectors of every write each
//! for itself, any of the lengths a file had, and the names of the folder up to any point, as a
//! journaling file system keeps their order.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

/// A disk writes so many bytes as a whole or not at all.
const SECTOR: usize = 512;

/// One event.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
    Write(u64, u64, Box<[u8]>),
    SetLen(u64, u64),
    /// A sync of a file, or of the folder, was asked for; it covers what came before.
    SyncBegun(u64, Option<u64>),
    SyncEnded(u64),
    /// A test was told that this is durable.
    Promised(u64),
}

/// What a planted bug leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Commits are not synced.
    NoCommitSync,
    /// Names are not synced.
    NoFolderSync,
}

/// The recording of one folder.
#[derive(Clone)]
pub(super) struct Tape(Arc<Recording>);

struct Recording {
    bug: Bug,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ops: Vec<Op>,
    names: BTreeMap<String, u64>,
    next: u64,
}

static TAPES: LazyLock<Mutex<BTreeMap<PathBuf, Tape>>> = LazyLock::new(Mutex::default);

impl Tape {
    /// Records what logs in this folder do from now on. The folder must be empty.
    pub(super) fn start(folder: &Path, bug: Bug) -> Self {
        let tape = Self(Arc::new(Recording {
            bug,
            state: Mutex::default(),
        }));
        TAPES.lock().insert(folder.to_owned(), tape.clone());
        tape
    }

    /// The recording of a folder, if there is one.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        TAPES.lock().get(folder).cloned()
    }

    pub(super) fn bug(&self) -> Bug {
        self.0.bug
    }

    pub(super) fn push(&self, op: Op) {
        let mut state = self.0.state.lock();
        match &op {
            Op::Rename(from, to) => {
                let inode = state.names.remove(from).expect("a name that exists");
                state.names.insert(to.clone(), inode);
            }
            Op::Remove(name) => drop(state.names.remove(name)),
            _ => {}
        }
        state.ops.push(op);
    }

    /// Notes a new, empty file.
    pub(super) fn create(&self, name: &str) -> u64 {
        let mut state = self.0.state.lock();
        state.next += 1;
        let inode = state.next;
        state.names.insert(name.into(), inode);
        state.ops.push(Op::Create(name.into(), inode));
        inode
    }

    pub(super) fn inode(&self, name: &str) -> u64 {
        self.0.state.lock().names[name]
    }

    /// Notes a sync around it; of the folder when no file is given.
    pub(super) fn sync(
        &self,
        inode: Option<u64>,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let number = {
            let mut state = self.0.state.lock();
            state.next += 1;
            let number = state.next;
            state.ops.push(Op::SyncBegun(number, inode));
            number
        };
        sync()?;
        self.push(Op::SyncEnded(number));
        Ok(())
    }

    pub(super) fn ops(&self) -> Vec<Op> {
        self.0.state.lock().ops.clone()
    }
}

/// Random numbers from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }
}

/// Writes into `folder` what a power cut after these events may leave. `kept` percent of what was
/// not synced is there.
pub(super) fn power_cut(ops: &[Op], folder: &Path, kept: u64, dice: &mut Dice) {
    let durable = durable(ops);
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let mut files: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut lengths: BTreeMap<u64, u64> = BTreeMap::new();
    let mut are_names_kept = true;
    for (op, is_durable) in ops.iter().zip(durable) {
        if !is_durable && matches!(op, Op::Create(..) | Op::Rename(..) | Op::Remove(..)) {
            are_names_kept &= dice.below(100) < kept;
        }
        match op {
            Op::Create(name, inode) if are_names_kept => drop(names.insert(name, *inode)),
            Op::Rename(from, to) if are_names_kept => {
                if let Some(inode) = names.remove(from.as_str()) {
                    names.insert(to, inode);
                }
            }
            Op::Remove(name) if are_names_kept => drop(names.remove(name.as_str())),
            Op::Write(inode, at, bytes) => {
                let file = files.entry(*inode).or_default();
                let at = usize::try_from(*at).unwrap();
                file.resize(file.len().max(at + bytes.len()), 0);
                let mut from = 0;
                while from < bytes.len() {
                    let sector_end = ((at + from) / SECTOR + 1) * SECTOR - at;
                    let end = sector_end.min(bytes.len());
                    if is_durable || dice.below(100) < kept {
                        file[at + from..at + end].copy_from_slice(&bytes[from..end]);
                    }
                    from = end;
                }
                let end = (at + bytes.len()) as u64;
                let length = lengths.entry(*inode).or_default();
                if is_durable || dice.below(100) < kept {
                    *length = (*length).max(end);
                }
            }
            Op::SetLen(inode, len) if is_durable || dice.below(100) < kept => {
                let file = files.entry(*inode).or_default();
                file.resize(usize::try_from(*len).unwrap(), 0);
                lengths.insert(*inode, *len);
            }
            _ => {}
        }
    }
    for (name, inode) in names {
        let mut bytes = files.remove(&inode).unwrap_or_default();
        bytes.resize(lengths.get(&inode).map_or(0, |len| *len as usize), 0);
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Which events a sync has made durable that ended among them.
fn durable(ops: &[Op]) -> Vec<bool> {
    let mut durable = vec![false; ops.len()];
    let ended = ops.iter().filter_map(|op| match op {
        Op::SyncEnded(number) => Some(*number),
        _ => None,
    });
    for number in ended {
        let begun = |op: &Op| matches!(op, Op::SyncBegun(n, _) if *n == number);
        let at = ops.iter().position(begun).expect("begun before it ended");
        let Op::SyncBegun(_, target) = ops[at] else {
            unreachable!()
        };
        for (i, op) in ops[..at].iter().enumerate() {
            let of = match op {
                Op::Write(inode, ..) | Op::SetLen(inode, _) => Some(Some(*inode)),
                Op::Create(..) | Op::Rename(..) | Op::Remove(..) => Some(None),
                _ => None,
            };
            durable[i] |= of == Some(target);
        }
    }
    durable
}
