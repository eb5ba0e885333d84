//! The bytes of a BAR that clients may map, piece by piece in the file or in memory of the server's
//! own.
//!
//! Visibility, resets and the end of sharing only say what should be. [`Contents::advance`] brings
//! one piece after the other there and may stop after any; each piece knows where its bytes are.

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;

use pci_device_models::function::Area;

use super::Hidden;
use super::file::{SharedFile, ZEROS};
use crate::ratelimit::limited;

/// Bytes of a piece. Buffers of this size are mappings of their own and go back to the system at
/// once.
pub(super) const PIECE: u64 = 128 * 1024;
/// The price of a step in which nothing is moved: it takes system calls, too.
const STEP_PRICE: u64 = 4096;
/// Bytes of foreign data that are removed from a file at a time.
const EMPTIED: u64 = 256 * 1024;

/// The place of a piece's bytes.
enum Bytes {
    /// They are zero.
    Blank,
    /// They are zero, and a buffer is still to be freed.
    Cleared(Vec<u8>),
    /// Memory of the server's own.
    Own(Vec<u8>),
    /// The file.
    InFile,
}

/// The content of the file at a piece whose bytes are elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mapped {
    /// Nothing: zeros that take no memory.
    Hole,
    /// All ones, unless clients have written since.
    Ones,
    /// Something that is to go.
    Other,
}

/// The content that the file should have at a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Bytes,
    Ones,
    Hole,
}

struct Piece {
    bytes: Bytes,
    mapped: Mapped,
    /// It overlaps an area that clients may map.
    shared: bool,
}

/// A file that clients have.
#[derive(Debug)]
struct Shared {
    file: SharedFile,
    /// Those clients are gone: the bytes have to leave it.
    leaving: bool,
    /// It has no bytes because they are hidden.
    cut: bool,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Remove all that clients have put into a file that was cut, from an offset on, and give it
    /// its length again.
    Uncover(u64),
    /// Settle the pieces from this one on.
    Pieces(usize),
    /// Remove everything that is left in the file from an offset on.
    Empty(u64),
    /// There is none.
    Settled,
}

/// The bytes up to the end of the last area.
pub(super) struct Contents {
    hidden: Hidden,
    /// Bytes of the BAR at its largest.
    len: u64,
    /// Bytes of it that exist at its present size.
    used: u64,
    pieces: Vec<Piece>,
    shared: Option<Shared>,
    visible: bool,
    stage: Stage,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("len", &self.len)
            .field("used", &self.used)
            .field("shared", &self.shared)
            .field("visible", &self.visible)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Contents {
    /// Creates zeros that nobody has mapped: `len` bytes at most, of which none are used yet.
    pub(super) fn new(hidden: Hidden, areas: &[Area], len: u64) -> Self {
        let offsets = (0..len).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX));
        let pieces = offsets.map(|start| Piece {
            bytes: Bytes::Blank,
            mapped: Mapped::Hole,
            shared: areas
                .iter()
                .any(|area| area.offset < start + PIECE && start < area.end()),
        });
        Self {
            hidden,
            len,
            used: 0,
            pieces: pieces.collect(),
            shared: None,
            visible: false,
            stage: Stage::Settled,
        }
    }

    /// Returns the offset of a piece and its number of bytes.
    fn extent(&self, index: usize) -> (u64, u64) {
        let start = index as u64 * PIECE;
        (start, self.len.saturating_sub(start).min(PIECE))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.stage == Stage::Settled
    }

    pub(super) fn is_blank(&self) -> bool {
        let file_is_blank = || matches!(&self.shared, Some(shared) if shared.file.is_blank());
        self.pieces.iter().all(|piece| match piece.bytes {
            Bytes::Blank | Bytes::Cleared(_) => true,
            Bytes::Own(_) => false,
            Bytes::InFile => file_is_blank(),
        })
    }

    /// Returns the first offset from `from` on at which there may be a byte that is not zero.
    pub(super) fn next_filled(&self, from: u64) -> Option<u64> {
        let first = usize::try_from(from / PIECE).ok()?;
        let mut data = None;
        let mut pieces = self.pieces.iter().enumerate().skip(first);
        pieces.find_map(|(index, piece)| {
            let (start, len) = self.extent(index);
            let from = from.max(start);
            match (&piece.bytes, &self.shared) {
                (Bytes::Own(_), _) => Some(from),
                (Bytes::InFile, Some(shared)) => {
                    let next = shared.file.next_data_after(from, &mut data);
                    (next < start + len).then_some(next)
                }
                _ => None,
            }
        })
    }

    /// Returns the number of bytes that may not be zero, by pieces or pages.
    pub(super) fn held(&self) -> u64 {
        let (mut own, mut in_file) = (0, 0);
        for piece in &self.pieces {
            match piece.bytes {
                Bytes::Own(_) => own += PIECE,
                Bytes::InFile => in_file += PIECE,
                Bytes::Blank | Bytes::Cleared(_) => {}
            }
        }
        let taken = self.shared.as_ref();
        let taken = taken.map_or(0, |shared| shared.file.taken());
        own + in_file.min(taken)
    }

    /// Returns the bytes of the server's own memory that are in use.
    #[cfg(test)]
    pub(super) fn kept(&self) -> u64 {
        let own = self.pieces.iter().map(|piece| match &piece.bytes {
            Bytes::Own(bytes) | Bytes::Cleared(bytes) => bytes.len() as u64,
            Bytes::Blank | Bytes::InFile => 0,
        });
        own.sum()
    }

    /// Returns the parts of a range, each with the index of its piece, its offset in there and its
    /// number of bytes.
    fn split(
        &self,
        offset: u64,
        len: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let end = offset.saturating_add(len as u64).min(self.used);
        let mut at = offset;
        std::iter::from_fn(move || {
            let left = end.checked_sub(at).filter(|left| *left > 0)?;
            let (index, within) = (at / PIECE, at % PIECE);
            let part = left.min(PIECE - within);
            at += part;
            // All of them are less than the bytes of a buffer or the pieces of a vector.
            Some((index as usize, within as usize, part as usize))
        })
    }

    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let mut rest = data;
        for (index, within, len) in self.split(offset, rest.len()) {
            let (part, left) = rest.split_at_mut(len);
            rest = left;
            match (
                self.pieces.get(index).map(|piece| &piece.bytes),
                &self.shared,
            ) {
                (Some(Bytes::Own(bytes)), _) => match bytes.get(within..within + len) {
                    Some(bytes) => part.copy_from_slice(bytes),
                    None => part.fill(0),
                },
                (Some(Bytes::InFile), Some(shared)) => {
                    shared.file.read(index as u64 * PIECE + within as u64, part);
                }
                _ => part.fill(0),
            }
        }
        rest.fill(0);
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut rest = data;
        for (index, within, len) in self.split(offset, data.len()) {
            let (part, left) = rest.split_at(len);
            rest = left;
            if let Err(error) = self.write_piece(index, within, part) {
                limited!(warn, %error, "BAR memory cannot be written");
            }
        }
    }

    fn write_piece(&mut self, index: usize, within: usize, data: &[u8]) -> io::Result<()> {
        if self.shared.as_ref().is_some_and(|shared| shared.leaving) {
            // Clients that are gone must not see it.
            self.settle_piece(index, &mut None);
        }
        let (start, len) = self.extent(index);
        let Some(piece) = self.pieces.get_mut(index) else {
            return Ok(());
        };
        let bytes = match mem::replace(&mut piece.bytes, Bytes::Blank) {
            Bytes::InFile => {
                piece.bytes = Bytes::InFile;
                return match &self.shared {
                    Some(shared) => shared.file.write(start + within as u64, data),
                    None => Ok(()),
                };
            }
            Bytes::Own(bytes) => bytes,
            Bytes::Cleared(mut bytes) => {
                bytes.fill(0);
                bytes
            }
            Bytes::Blank => zeros(len)?,
        };
        let Bytes::Own(bytes) = piece.own(bytes) else {
            return Ok(());
        };
        if let Some(to) = bytes.get_mut(within..within + data.len()) {
            to.copy_from_slice(data);
        }
        Ok(())
    }

    /// Sets the number of bytes that exist, and all of them to zero.
    pub(super) fn reset(&mut self, size: u64) {
        let used = size.min(self.len);
        let resized = mem::replace(&mut self.used, used) != used;
        let blank_file = matches!(&self.shared, Some(shared) if shared.file.is_blank());
        let mut changed = resized && self.shared.is_some();
        for piece in &mut self.pieces {
            match mem::replace(&mut piece.bytes, Bytes::Blank) {
                Bytes::Own(bytes) => {
                    piece.bytes = Bytes::Cleared(bytes);
                    changed = true;
                }
                Bytes::InFile if blank_file => piece.bytes = Bytes::InFile,
                Bytes::InFile => {
                    piece.mapped = Mapped::Other;
                    changed = true;
                }
                bytes @ (Bytes::Blank | Bytes::Cleared(_)) => piece.bytes = bytes,
            }
        }
        if changed {
            self.start();
        }
    }

    pub(super) fn set_visible(&mut self, visible: bool) {
        if mem::replace(&mut self.visible, visible) != visible && self.shared.is_some() {
            self.start();
        }
    }

    /// Returns a descriptor of the file that clients map.
    ///
    /// # Errors
    /// There are too many descriptors, or the file would be larger than files may be.
    pub(super) fn share(&mut self) -> io::Result<OwnedFd> {
        if self.shared.as_ref().is_some_and(|shared| shared.leaving) {
            // Servers wait for this before they serve the next client.
            self.finish();
        }
        if let Some(shared) = &self.shared {
            return shared.file.descriptor();
        }
        let len = match self.hidden {
            Hidden::Ones => self.len,
            Hidden::Gone => self.used,
        };
        let file = SharedFile::new(len, self.hidden)?;
        let descriptor = file.descriptor()?;
        self.shared = Some(Shared {
            file,
            leaving: false,
            cut: false,
        });
        self.start();
        Ok(descriptor)
    }

    /// Parts the bytes from the clients that have the file.
    pub(super) fn unshare(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.leaving = true;
            self.start();
        }
    }

    fn finish(&mut self) {
        while !self.is_settled() {
            let mut budget = u64::MAX;
            self.advance(&mut budget);
        }
    }

    fn start(&mut self) {
        self.stage = match &self.shared {
            Some(shared) if shared.cut && self.visible && !shared.leaving => Stage::Uncover(0),
            _ => Stage::Pieces(0),
        };
    }

    /// Works until everything is as it should be, or `budget` is used up.
    pub(super) fn advance(&mut self, budget: &mut u64) {
        *budget = budget.saturating_sub(STEP_PRICE);
        let mut data = None;
        loop {
            let spent = match self.stage {
                Stage::Settled => return,
                _ if *budget == 0 => return,
                Stage::Pieces(index) if index < self.pieces.len() => {
                    self.stage = Stage::Pieces(index + 1);
                    self.settle_piece(index, &mut data)
                }
                Stage::Pieces(_) => {
                    self.stage = self.after_pieces();
                    0
                }
                Stage::Uncover(from) => self.remove(from, Stage::Uncover, Self::uncover),
                Stage::Empty(from) => self.remove(from, Stage::Empty, Self::cut),
            };
            *budget = budget.saturating_sub(spent);
        }
    }

    fn after_pieces(&mut self) -> Stage {
        let Some(shared) = &self.shared else {
            return Stage::Settled;
        };
        match self.hidden {
            _ if shared.leaving => Stage::Empty(0),
            Hidden::Gone if !self.visible => Stage::Empty(0),
            Hidden::Gone => {
                // It may have been resized while it was there.
                report(shared.file.set_len(self.used));
                Stage::Settled
            }
            Hidden::Ones => Stage::Settled,
        }
    }

    /// Removes some data from the file, or does what follows when there is none. Returns the price.
    fn remove(
        &mut self,
        from: u64,
        stage: impl FnOnce(u64) -> Stage,
        then: impl FnOnce(&mut Self) -> Stage,
    ) -> u64 {
        let found = self.shared.as_ref().and_then(|shared| {
            let at = shared.file.next_data(from)?;
            shared.file.punch(at, EMPTIED).ok()?;
            Some(at)
        });
        match found {
            Some(at) => {
                self.stage = stage(at.saturating_add(EMPTIED));
                EMPTIED
            }
            None => {
                self.stage = then(self);
                0
            }
        }
    }

    /// Gives the file its length, with nothing in it.
    fn uncover(&mut self) -> Stage {
        let Some(shared) = &mut self.shared else {
            return Stage::Settled;
        };
        let cleared = shared.file.set_len(0);
        match cleared.and_then(|()| shared.file.set_len(self.used)) {
            Ok(()) => {
                shared.cut = false;
                Stage::Pieces(0)
            }
            Err(error) => {
                limited!(warn, %error, "BAR memory stays hidden from clients");
                Stage::Settled
            }
        }
    }

    /// Takes the file away from the clients that have it mapped, or from here.
    fn cut(&mut self) -> Stage {
        if let Some(shared) = self.shared.take_if(|shared| shared.leaving) {
            if self.hidden == Hidden::Gone {
                report(shared.file.set_len(0));
            }
            for piece in &mut self.pieces {
                piece.mapped = Mapped::Hole;
            }
        } else if let Some(shared) = &mut self.shared {
            report(shared.file.set_len(0));
            shared.cut = true;
        }
        Stage::Settled
    }

    fn target(&self, index: usize, piece: &Piece, shared: &Shared) -> Target {
        let is_used = piece.shared && index as u64 * PIECE < self.used;
        match self.hidden {
            _ if shared.leaving || !is_used => Target::Hole,
            _ if self.visible => Target::Bytes,
            Hidden::Ones => Target::Ones,
            Hidden::Gone => Target::Hole,
        }
    }

    /// Brings a piece to where it should be. Returns the price. `data` remembers the next offset
    /// of data in the file from one piece to the next.
    fn settle_piece(&mut self, index: usize, data: &mut Option<u64>) -> u64 {
        let (start, len) = self.extent(index);
        let Some(piece) = self.pieces.get(index) else {
            return 0;
        };
        let target = self.shared.as_ref();
        let target = target.map(|shared| self.target(index, piece, shared));
        let Some(piece) = self.pieces.get_mut(index) else {
            return 0;
        };
        let mut price = 0;
        if let Bytes::Cleared(_) = piece.bytes {
            piece.bytes = Bytes::Blank;
            price += len;
        }
        if let (Some(shared), Some(target)) = (&self.shared, target) {
            price += match target {
                Target::Bytes => piece.show(&shared.file, start, len),
                Target::Ones | Target::Hole => {
                    piece.hide(&shared.file, start, len, data)
                        + piece.cover(&shared.file, start, len, target)
                }
            };
        }
        price
    }
}

impl Piece {
    /// Puts a buffer in its place.
    fn own(&mut self, bytes: Vec<u8>) -> &mut Bytes {
        self.bytes = Bytes::Own(bytes);
        &mut self.bytes
    }

    /// Moves the bytes into the file. Returns the price.
    fn show(&mut self, file: &SharedFile, start: u64, len: u64) -> u64 {
        let done = match &self.bytes {
            Bytes::InFile => return 0,
            Bytes::Own(bytes) => file.write(start, bytes),
            Bytes::Blank | Bytes::Cleared(_) if self.mapped == Mapped::Hole => {
                self.bytes = Bytes::InFile;
                return 0;
            }
            Bytes::Blank | Bytes::Cleared(_) => file.clear(start, len),
        };
        match done {
            Ok(()) => self.bytes = Bytes::InFile,
            Err(error) => {
                self.mapped = Mapped::Other;
                limited!(warn, %error, "clients cannot see a part of BAR memory");
            }
        }
        len
    }

    /// Moves the bytes out of the file. Returns the price.
    fn hide(&mut self, file: &SharedFile, start: u64, len: u64, data: &mut Option<u64>) -> u64 {
        if !matches!(self.bytes, Bytes::InFile) {
            return 0;
        }
        if file.next_data_after(start, data) >= start + len {
            (self.bytes, self.mapped) = (Bytes::Blank, Mapped::Hole);
            return 0;
        }
        match zeros(len) {
            Ok(mut bytes) => {
                file.read(start, &mut bytes);
                self.mapped = Mapped::Other;
                self.bytes = if bytes.iter().all(|byte| *byte == 0) {
                    Bytes::Blank
                } else {
                    Bytes::Own(bytes)
                };
            }
            Err(error) => limited!(warn, %error, "clients still see a part of BAR memory"),
        }
        len
    }

    /// Puts ones or nothing into the file in place of bytes that are elsewhere. Returns the price.
    fn cover(&mut self, file: &SharedFile, start: u64, len: u64, target: Target) -> u64 {
        let (mapped, covered) = match target {
            _ if matches!(self.bytes, Bytes::InFile) => return 0,
            Target::Ones if self.mapped != Mapped::Ones => {
                let filled = file.fill_ones(start, len);
                // Without memory for ones they see zeros, and not the bytes.
                (Mapped::Ones, filled.or_else(|_| file.clear(start, len)))
            }
            Target::Hole if self.mapped != Mapped::Hole => (Mapped::Hole, file.clear(start, len)),
            _ => return 0,
        };
        report(covered);
        self.mapped = mapped;
        len
    }
}

/// Returns a buffer of zeros.
fn zeros(len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    while let Some(left) = len.checked_sub(bytes.len()).filter(|left| *left > 0) {
        bytes.extend_from_slice(ZEROS.get(..left).unwrap_or(&ZEROS));
    }
    Ok(bytes)
}

fn report(done: io::Result<()>) {
    if let Err(error) = done {
        limited!(warn, %error, "cannot change the file of BAR memory");
    }
}
