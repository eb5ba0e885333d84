use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::*;

const BOTH: DmaMapFlags = DmaMapFlags::READ.union(DmaMapFlags::WRITE);

const OWNER: Owner = Owner {
    client: 1,
    max_transfer: 4096,
};

fn memfd(pages: u64) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(memfd_create("client", flags).unwrap());
    file.set_len(pages * PAGE_SIZE).unwrap();
    file
}

fn sealed_memfd(pages: u64) -> File {
    let file = memfd(pages);
    fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    file
}

fn share(file: &File) -> Option<OwnedFd> {
    Some(file.try_clone().unwrap().into())
}

fn request(page: u64, pages: u64) -> dma_map::Request {
    dma_map::Request {
        flags: BOTH,
        offset: 0,
        address: page * PAGE_SIZE,
        size: pages * PAGE_SIZE,
    }
}

fn range(page: u64, pages: u64) -> Target {
    Target::Range {
        address: page * PAGE_SIZE,
        size: pages * PAGE_SIZE,
    }
}

fn table() -> DmaTable {
    DmaTable::new(ClientMemory::FileIo, 100)
}

#[test]
fn what_cannot_be_mapped_is_refused_with_its_errno() {
    let file = memfd(8);
    let mut table = DmaTable::new(ClientMemory::FileIo, 2);
    table.map(&request(4, 4), share(&file), OWNER).unwrap();
    let unaligned = dma_map::Request {
        address: 1,
        ..request(0, 1)
    };
    let ragged = dma_map::Request {
        size: 4097,
        ..request(0, 1)
    };
    for (request, errno) in [
        (unaligned, Errno::EINVAL),
        (ragged, Errno::EINVAL),
        (request(4, 4), Errno::EEXIST),
        (request(7, 2), Errno::EEXIST),
        (request(3, 2), Errno::EEXIST),
        (request(5, 1), Errno::EEXIST),
        (request(0, 100), Errno::EEXIST),
    ] {
        let error = table.map(&request, share(&file), OWNER).unwrap_err();
        assert_eq!(error.errno(), errno, "{error}");
    }
    table.map(&request(8, 1), share(&file), OWNER).unwrap();
    let error = table.map(&request(9, 1), share(&file), OWNER).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOSPC);
    assert_eq!(table.len(), 2);
}

#[test]
fn only_files_that_can_be_read_at_any_place_are_taken() {
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = table()
        .map(&request(0, 1), Some(socket.into()), OWNER)
        .unwrap_err();
    assert_eq!(error.errno(), Errno::EINVAL);
    let path = rustix::fs::open(
        "/proc/self/exe",
        rustix::fs::OFlags::PATH,
        rustix::fs::Mode::empty(),
    );
    let error = table()
        .map(&request(0, 1), Some(path.unwrap()), OWNER)
        .unwrap_err();
    assert_eq!(error.errno(), Errno::EACCES);
}

#[test]
fn many_maps_of_one_file_hold_it_open_once() {
    let (a, b) = (memfd(64), memfd(64));
    let mut table = table();
    for page in 0..32 {
        table.map(&request(page, 1), share(&a), OWNER).unwrap();
    }
    table.map(&request(32, 1), share(&b), OWNER).unwrap();
    assert_eq!(table.open_files(), 2);
    table.unmap(range(0, 31)).unwrap();
    assert_eq!((table.open_files(), table.len()), (2, 2));
    table.unmap(range(31, 1)).unwrap();
    assert_eq!(table.open_files(), 1);
    table.unmap(Target::All).unwrap();
    assert_eq!((table.open_files(), table.len()), (0, 0));
}

#[test]
fn an_unmap_takes_what_is_inside_and_never_cuts() {
    let file = memfd(64);
    let mut table = table();
    for page in [0, 4, 8, 12] {
        table.map(&request(page, 4), share(&file), OWNER).unwrap();
    }
    for (page, pages) in [(1, 2), (2, 6), (0, 6), (5, 1), (3, 100)] {
        let error = table.unmap(range(page, pages)).unwrap_err();
        assert_eq!(error.errno(), Errno::EINVAL, "{error}");
    }
    assert_eq!(table.len(), 4);
    table.unmap(range(100, 1 << 30)).unwrap();
    table.unmap(range(4, 8)).unwrap();
    assert_eq!(table.len(), 2);
    table.unmap(range(0, 1 << 40)).unwrap();
    assert_eq!(table.len(), 0);
}

#[test]
fn a_client_that_goes_takes_its_maps_along_and_no_others() {
    let (file, own) = (memfd(8), memfd(8));
    let other = Owner { client: 2, ..OWNER };
    let mut table = table();
    table.map(&request(0, 1), share(&file), OWNER).unwrap();
    table.map(&request(1, 1), share(&file), other).unwrap();
    table.map(&request(2, 1), None, other).unwrap();
    table.map(&request(3, 1), share(&own), other).unwrap();
    table.map(&request(4, 1), None, OWNER).unwrap();
    let mut data = [0; 2 * PAGE_SIZE as usize];
    assert_eq!(table.read(0, &mut data), Ok(Reach::All));
    table.remove_client(other.client);
    assert_eq!((table.len(), table.open_files()), (2, 1));
    let address = PAGE_SIZE;
    let gone = Err(DmaError::Unmapped { address });
    assert_eq!(table.read(0, &mut data), gone, "what is left is read");
    assert_eq!(table.write(address, &[1]), gone);
    assert_eq!(table.owner(4 * PAGE_SIZE), Some(OWNER));
}

#[test]
fn maps_reach_to_the_last_address() {
    let file = memfd(1);
    let mut table = table();
    let top = dma_map::Request {
        address: u64::MAX - (PAGE_SIZE - 1),
        ..request(0, 1)
    };
    table.map(&top, share(&file), OWNER).unwrap();
    table.write(u64::MAX - 1, &[1, 2]).unwrap();
    let mut data = [0; 2];
    file.read_exact_at(&mut data, PAGE_SIZE - 2).unwrap();
    assert_eq!(data, [1, 2]);
    assert_eq!(
        table.read(u64::MAX, &mut data),
        Err(DmaError::Unmapped { address: 0 })
    );
}

#[test]
fn rights_are_those_of_the_map_and_of_the_descriptor() {
    let file = memfd(1);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let read_only = File::open(path).unwrap();
    let mut table = table();
    table.map(&request(0, 1), share(&read_only), OWNER).unwrap();
    let unwritable = dma_map::Request {
        flags: DmaMapFlags::READ,
        ..request(1, 1)
    };
    table.map(&unwritable, share(&file), OWNER).unwrap();
    let unreadable = dma_map::Request {
        flags: DmaMapFlags::WRITE,
        ..request(2, 1)
    };
    table.map(&unreadable, share(&file), OWNER).unwrap();
    let denied = |address, write| Err(DmaError::NotPermitted { address, write });
    let mut byte = [0];
    assert_eq!(table.read(0, &mut byte), Ok(Reach::All));
    assert_eq!(table.write(0, &byte), denied(0, true));
    assert_eq!(table.write(0x1fff, &byte), denied(0x1fff, true));
    assert_eq!(table.read(0x2000, &mut byte), denied(0x2000, false));
    assert_eq!(table.write(0x2000, &byte), Ok(Reach::All));
    assert_eq!(table.open_files(), 2);
}

#[test]
fn an_access_stops_where_the_owner_has_to_be_asked() {
    let mut table = table();
    table.map(&request(0, 1), share(&memfd(1)), OWNER).unwrap();
    table.map(&request(1, 2), None, OWNER).unwrap();
    let ask = |done, len| {
        let owner = OWNER;
        Ok(Reach::Ask { done, len, owner })
    };
    assert_eq!(table.read(PAGE_SIZE - 8, &mut [0; 24]), ask(8, 16));
    assert_eq!(table.write(PAGE_SIZE + 8, &[0; 24]), ask(0, 24));
    let to_the_end = usize::try_from(PAGE_SIZE).unwrap();
    assert_eq!(
        table.read(2 * PAGE_SIZE, &mut [0; 0x2000]),
        ask(0, to_the_end)
    );
    assert_eq!(table.owner(0), None);
    assert_eq!(table.owner(PAGE_SIZE), Some(OWNER));
    assert_eq!(table.owner(3 * PAGE_SIZE), None);
}

#[test]
fn a_file_that_shrank_is_an_error_and_never_grows_back() {
    let file = memfd(2);
    let mut table = table();
    table.map(&request(0, 2), share(&file), OWNER).unwrap();
    file.set_len(PAGE_SIZE + 1).unwrap();
    let gone = Err(DmaError::Unmapped {
        address: PAGE_SIZE + 1,
    });
    assert_eq!(table.read(PAGE_SIZE, &mut [0; 2]), gone);
    assert_eq!(table.write(PAGE_SIZE, &[0; 2]), gone);
    assert_eq!(table.write(PAGE_SIZE + 1, &[0; 2]), gone);
    assert_eq!(file.metadata().unwrap().len(), PAGE_SIZE + 1);
}

#[test]
fn the_access_mode_goes_before_the_profile() {
    use ClientMemory::{FileIo, MapSealed};
    let none = DmaMapFlags::empty();
    let (mmap, file_io) = (DmaMapFlags::ACCESS_MMAP, DmaMapFlags::ACCESS_FILE_IO);
    for (access, mode, sealed, mapped) in [
        (FileIo, none, true, false),
        (FileIo, mmap, true, true),
        (FileIo, mmap, false, false),
        (FileIo, file_io, true, false),
        (MapSealed, none, true, true),
        (MapSealed, mmap, true, true),
        (MapSealed, mmap, false, false),
        (MapSealed, file_io, true, false),
    ] {
        let what = format!("{access:?}, {mode:?}, sealed: {sealed}");
        let file = if sealed { sealed_memfd(1) } else { memfd(1) };
        let mut table = DmaTable::new(access, 10);
        let map = |page, mode| dma_map::Request {
            flags: BOTH | mode,
            ..request(page, 1)
        };
        table.map(&map(0, mode), share(&file), OWNER).unwrap();
        assert_eq!(table.mapped_files(), usize::from(mapped), "{what}");
        table.write(0, b"written").unwrap();
        let mut read = [0; 7];
        table.read(0, &mut read).unwrap();
        assert_eq!(&read, b"written", "{what}");
        // A file that is open already is mapped for the first map that wants it.
        table.map(&map(1, mmap), share(&file), OWNER).unwrap();
        assert_eq!(table.mapped_files(), usize::from(sealed), "{what}");
        assert_eq!(table.open_files(), 1, "{what}");
    }
}

#[test]
fn sealed_files_are_mapped_and_may_grow() {
    let file = sealed_memfd(1);
    let mut table = DmaTable::new(ClientMemory::MapSealed, 10);
    table.map(&request(0, 4), share(&file), OWNER).unwrap();
    table.write(10, b"one").unwrap();
    assert!(table.write(PAGE_SIZE, b"two").is_err());
    file.set_len(4 * PAGE_SIZE).unwrap();
    table.write(PAGE_SIZE, b"two").unwrap();
    let mut data = [0; 3];
    file.read_exact_at(&mut data, 10).unwrap();
    assert_eq!(&data, b"one");
    file.read_exact_at(&mut data, PAGE_SIZE).unwrap();
    assert_eq!(&data, b"two");
    table.read(PAGE_SIZE, &mut data).unwrap();
    assert_eq!(&data, b"two");
}

#[test]
fn copies_go_straight_between_mapped_files_unless_they_may_overlap() {
    let file = sealed_memfd(8);
    file.write_all_at(&[7; 2 * PAGE_SIZE as usize], 0).unwrap();
    let page = PAGE_SIZE as usize;
    for (access, from, to, len, copied) in [
        (ClientMemory::FileIo, 0, 4 * PAGE_SIZE, page, 0),
        (
            ClientMemory::MapSealed,
            0,
            4 * PAGE_SIZE,
            2 * page,
            2 * page,
        ),
        (
            ClientMemory::MapSealed,
            8,
            4 * PAGE_SIZE,
            4 * page,
            4 * page - 8,
        ),
        (ClientMemory::MapSealed, 0, PAGE_SIZE, page, page),
        (ClientMemory::MapSealed, 0, PAGE_SIZE, page + 1, 0),
        (ClientMemory::MapSealed, PAGE_SIZE, 0, page + 1, 0),
        (ClientMemory::MapSealed, 8 * PAGE_SIZE, 0, page, 0),
        (ClientMemory::MapSealed, 0, 8 * PAGE_SIZE, page, 0),
    ] {
        let mut table = DmaTable::new(access, 2);
        for at in [0, 4] {
            let request = dma_map::Request {
                offset: at * PAGE_SIZE,
                ..request(at, 4)
            };
            table.map(&request, share(&file), OWNER).unwrap();
        }
        assert_eq!(
            table.copy_mapped(from, to, len),
            copied,
            "{from:#x} {to:#x} {len}"
        );
    }
    let mut contents = [0; 2];
    file.read_exact_at(&mut contents, 6 * PAGE_SIZE - 9)
        .unwrap();
    assert_eq!(contents, [7, 0]);
}

#[test]
fn an_unsealed_file_that_shrinks_does_no_harm_where_mapping_is_allowed() {
    let file = memfd(1);
    let mut table = DmaTable::new(ClientMemory::MapSealed, 10);
    table.map(&request(0, 1), share(&file), OWNER).unwrap();
    file.set_len(0).unwrap();
    let gone = Err(DmaError::Unmapped { address: 0 });
    assert_eq!(table.read(0, &mut [0; 8]), gone);
}

/// Pages of the address space and of each file that the property test plays with.
const PAGES: u64 = 12;

#[derive(Clone, Debug)]
enum Action {
    Map {
        page: u64,
        pages: u64,
        file: usize,
        at: u64,
        flags: DmaMapFlags,
    },
    Unmap {
        page: u64,
        pages: u64,
    },
    Read {
        address: u64,
        len: usize,
    },
    Write {
        address: u64,
        data: Vec<u8>,
    },
    Copy {
        from: u64,
        to: u64,
        len: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let flags = prop_oneof![
        4 => Just(BOTH),
        1 => Just(DmaMapFlags::READ),
        1 => Just(DmaMapFlags::WRITE),
    ];
    let address = 0..PAGES * PAGE_SIZE;
    let len = 0..3 * PAGE_SIZE as usize;
    prop_oneof![
        4 => (0..PAGES, 1..4_u64, 0..2_usize, 0..PAGES, flags).prop_map(
            |(page, pages, file, at, flags)| Action::Map { page, pages, file, at, flags }
        ),
        1 => (0..PAGES, 1..6_u64).prop_map(|(page, pages)| Action::Unmap { page, pages }),
        3 => (address.clone(), len.clone()).prop_map(|(address, len)| Action::Read { address, len }),
        3 => (address.clone(), any::<u8>(), len.clone()).prop_map(|(address, byte, len)| {
            let data = (0..len).map(|at| byte.wrapping_add(at as u8)).collect();
            Action::Write { address, data }
        }),
        3 => (address.clone(), address, len).prop_map(|(from, to, len)| Action::Copy { from, to, len }),
    ]
}

/// The same thing page by page.
#[derive(Default)]
struct Naive {
    /// Map number, file, page of the file, rights.
    pages: Vec<Option<(usize, usize, u64, DmaMapFlags)>>,
    maps: usize,
    files: [Vec<u8>; 2],
}

impl Naive {
    fn new() -> Self {
        let file = vec![0; (PAGES * PAGE_SIZE) as usize];
        Self {
            pages: vec![None; 2 * PAGES as usize],
            maps: 0,
            files: [file.clone(), file],
        }
    }

    fn map(&mut self, page: u64, pages: u64, file: usize, at: u64, flags: DmaMapFlags) -> bool {
        let range = page as usize..(page + pages) as usize;
        if self.pages[range.clone()].iter().any(Option::is_some) {
            return false;
        }
        self.maps += 1;
        for (nth, page) in self.pages[range].iter_mut().enumerate() {
            *page = Some((self.maps, file, at + nth as u64, flags));
        }
        true
    }

    fn unmap(&mut self, page: u64, pages: u64) -> bool {
        let range = page as usize..(page + pages) as usize;
        let map_of = |page: &Option<(usize, usize, u64, DmaMapFlags)>| page.map(|page| page.0);
        let cut = |inside: usize, outside: Option<usize>| {
            let outside = outside
                .and_then(|page| self.pages.get(page))
                .and_then(map_of);
            outside.is_some() && outside == map_of(&self.pages[inside])
        };
        if cut(range.start, range.start.checked_sub(1)) || cut(range.end - 1, Some(range.end)) {
            return false;
        }
        self.pages[range].fill(None);
        true
    }

    /// The place of a byte, as file and offset.
    fn find(&self, address: u64, write: bool) -> Result<(usize, usize), DmaError> {
        let unmapped = DmaError::Unmapped { address };
        let page = self.pages.get((address / PAGE_SIZE) as usize);
        let (_, file, at, flags) = page.copied().flatten().ok_or(unmapped)?;
        let right = if write {
            DmaMapFlags::WRITE
        } else {
            DmaMapFlags::READ
        };
        if !flags.contains(right) {
            return Err(DmaError::NotPermitted { address, write });
        }
        let offset = (at * PAGE_SIZE + address % PAGE_SIZE) as usize;
        if offset >= self.files[file].len() {
            return Err(unmapped);
        }
        Ok((file, offset))
    }
}

fn check(access: ClientMemory, actions: Vec<Action>) -> Result<(), TestCaseError> {
    let files = [sealed_memfd(PAGES), sealed_memfd(PAGES)];
    let mut table = DmaTable::new(access, 1000);
    let mut naive = Naive::new();
    for action in actions {
        match action {
            Action::Map {
                page,
                pages,
                file,
                at,
                flags,
            } => {
                let request = dma_map::Request {
                    flags,
                    offset: at * PAGE_SIZE,
                    ..request(page, pages)
                };
                let mapped = table.map(&request, share(&files[file]), OWNER).is_ok();
                prop_assert_eq!(mapped, naive.map(page, pages, file, at, flags));
            }
            Action::Unmap { page, pages } => {
                let unmapped = table.unmap(range(page, pages)).is_ok();
                prop_assert_eq!(unmapped, naive.unmap(page, pages));
            }
            Action::Read { address, len } => {
                let mut data = vec![0; len];
                let outcome = table.read(address, &mut data);
                let mut expected = Ok(Reach::All);
                for (at, byte) in data.iter().enumerate() {
                    match naive.find(address + at as u64, false) {
                        Ok((file, offset)) => prop_assert_eq!(*byte, naive.files[file][offset]),
                        Err(error) => {
                            expected = Err(error);
                            break;
                        }
                    }
                }
                prop_assert_eq!(outcome, expected);
            }
            Action::Write { address, data } => {
                let outcome = table.write(address, &data);
                let mut expected = Ok(Reach::All);
                for (at, byte) in data.iter().enumerate() {
                    match naive.find(address + at as u64, true) {
                        Ok((file, offset)) => naive.files[file][offset] = *byte,
                        Err(error) => {
                            expected = Err(error);
                            break;
                        }
                    }
                }
                prop_assert_eq!(outcome, expected);
            }
            Action::Copy { from, to, len } => {
                let copied = table.copy_mapped(from, to, len);
                prop_assert!(copied <= len);
                prop_assert!(copied == 0 || access == ClientMemory::MapSealed);
                for at in 0..copied as u64 {
                    let source = naive.find(from + at, false);
                    let destination = naive.find(to + at, true);
                    let (Ok((source, from)), Ok((file, to))) = (source, destination) else {
                        return Err(TestCaseError::fail("copied what may not be reached"));
                    };
                    naive.files[file][to] = naive.files[source][from];
                }
            }
        }
    }
    for (file, expected) in files.iter().zip(&naive.files) {
        let mut contents = vec![0; expected.len()];
        file.read_exact_at(&mut contents, 0).unwrap();
        prop_assert!(contents == *expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn by_file_it_does_what_a_list_of_pages_does(actions in vec(action(), 0..40)) {
        check(ClientMemory::FileIo, actions)?;
    }

    #[test]
    fn by_mapping_it_does_what_a_list_of_pages_does(actions in vec(action(), 0..40)) {
        check(ClientMemory::MapSealed, actions)?;
    }
}
