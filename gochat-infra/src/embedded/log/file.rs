//! The files of the journal: what the writer does to the disk, in one place.
//!
//! Tests record every call here and make from the recording what a power cut leaves behind
//! ([`super::tape`]). Outside of tests the types are a file and a path.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::segment;
#[cfg(test)]
use super::tape::{Bug, Op, Tape};
use crate::embedded::disk;

/// Name of a segment that is not whole yet.
const DRAFT: &str = "next.tmp";

/// The folder of the journal.
#[derive(Clone)]
pub(super) struct Folder {
    path: PathBuf,
    #[cfg(test)]
    tape: Option<Tape>,
}

/// A segment file that is written by position.
pub(super) struct SegmentFile {
    file: File,
    #[cfg(test)]
    tape: Option<(Tape, u64)>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            #[cfg(test)]
            tape: Tape::of(&path),
            path,
        }
    }

    /// Begins a segment under the draft's name, which recovery does not look at.
    pub(super) fn draft(&self) -> io::Result<SegmentFile> {
        let file = File::create(self.path.join(DRAFT))?;
        Ok(SegmentFile {
            file,
            #[cfg(test)]
            tape: self.tape.as_ref().map(|t| (t.clone(), t.create(DRAFT))),
        })
    }

    /// Gives the draft its name, durably.
    pub(super) fn finish_draft(&self, id: u64) -> io::Result<()> {
        std::fs::rename(self.path.join(DRAFT), segment::path(&self.path, id))?;
        #[cfg(test)]
        self.note(Op::Rename(DRAFT.into(), segment::name(id)));
        self.sync()
    }

    /// Forgets the draft.
    pub(super) fn drop_draft(&self) -> io::Result<()> {
        std::fs::remove_file(self.path.join(DRAFT))?;
        #[cfg(test)]
        self.note(Op::Remove(DRAFT.into()));
        Ok(())
    }

    /// Opens a segment to go on writing.
    pub(super) fn open(&self, id: u64) -> io::Result<SegmentFile> {
        let path = segment::path(&self.path, id);
        Ok(SegmentFile {
            file: OpenOptions::new().write(true).open(path)?,
            #[cfg(test)]
            tape: (self.tape.as_ref()).map(|t| (t.clone(), t.inode(&segment::name(id)))),
        })
    }

    /// Deletes a segment, durably.
    pub(super) fn remove(&self, id: u64) -> io::Result<()> {
        std::fs::remove_file(segment::path(&self.path, id))?;
        #[cfg(test)]
        self.note(Op::Remove(segment::name(id)));
        self.sync()
    }

    /// Makes created and deleted names durable.
    fn sync(&self) -> io::Result<()> {
        let sync = || segment::sync_dir(&self.path);
        #[cfg(test)]
        if let Some(tape) = &self.tape {
            return match tape.bug() {
                Bug::NoFolderSync => Ok(()),
                _ => tape.sync(None, sync),
            };
        }
        sync()
    }

    #[cfg(test)]
    fn note(&self, op: Op) {
        if let Some(tape) = &self.tape {
            tape.push(op);
        }
    }
}

impl SegmentFile {
    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)?;
        #[cfg(test)]
        if let Some((tape, inode)) = &self.tape {
            tape.push(Op::Write(*inode, at, bytes.into()));
        }
        Ok(())
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        #[cfg(test)]
        if let Some((tape, inode)) = &self.tape {
            tape.push(Op::SetLen(*inode, len));
        }
        Ok(())
    }

    /// Takes room on the disk; contents and, where the file system can, length stay as they are.
    pub(super) fn allocate(&self, at: u64, len: u64) -> io::Result<()> {
        disk::allocate(&self.file, at, len)
    }

    /// Makes contents durable: a commit.
    pub(super) fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some((tape, _)) = &self.tape
            && tape.bug() == Bug::NoCommitSync
        {
            return Ok(());
        }
        self.sync(|| self.file.sync_data())
    }

    /// Makes contents and length durable.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.sync(|| self.file.sync_all())
    }

    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        #[cfg(test)]
        if let Some((tape, inode)) = &self.tape {
            return tape.sync(Some(*inode), sync);
        }
        sync()
    }
}
