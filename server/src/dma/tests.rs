use std::fs::File;
use std::os::unix::fs::FileExt;

use pci_device_models::profile::ClientMemory;
use proptest::collection::vec;
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use vfio_user_protocol::messages::dma_access::{ReadReply, ReadRequest, WriteReply, WriteRequest};
use vfio_user_protocol::messages::dma_map::{self, DmaMapFlags};
use vfio_user_protocol::{Command, Decoded, Header, Limits, decode, encoder};

use super::*;
use crate::memory::Owner;

const PAGE: usize = 4096;
/// Pages of client memory, mapped one by one from address 0 on.
const PAGES: usize = 64;
/// The access to pages with a file, in turn.
const MODES: [DmaMapFlags; 5] = [
    DmaMapFlags::ACCESS_MMAP,
    DmaMapFlags::ACCESS_MMAP,
    DmaMapFlags::ACCESS_FILE_IO,
    DmaMapFlags::ACCESS_FILE_IO,
    DmaMapFlags::ACCESS_MMAP,
];

/// A client whose pages partly have a file, and partly have to be asked for.
struct Client {
    table: DmaTable,
    file: File,
    /// Pages that are asked for.
    private: Vec<bool>,
    /// Their contents.
    memory: Vec<u8>,
    max_transfer: u32,
    /// The most bytes of one command that it does.
    most: usize,
    commands: usize,
}

impl Client {
    /// `private` says in turn which pages have no file. What memory holds is `contents`.
    fn new(private: &[bool], max_transfer: u32, most: usize, contents: &[u8]) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("client", flags).unwrap());
        file.write_all_at(contents, 0).unwrap();
        fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        let private: Vec<bool> = private.iter().copied().cycle().take(PAGES).collect();
        let mut table = DmaTable::new(ClientMemory::FileIo, PAGES);
        let owner = Owner {
            client: 7,
            max_transfer,
        };
        for (page, private) in private.iter().enumerate() {
            let request = dma_map::Request {
                flags: DmaMapFlags::READ | DmaMapFlags::WRITE | MODES[page % MODES.len()],
                offset: (page * PAGE) as u64,
                address: (page * PAGE) as u64,
                size: PAGE as u64,
            };
            let shared = (!private).then(|| file.try_clone().unwrap().into());
            table.map(&request, shared, owner).unwrap();
        }
        Self {
            table,
            file,
            private,
            memory: contents.to_vec(),
            max_transfer,
            most,
            commands: 0,
        }
    }

    /// All that is in its memory, page by page where it really is.
    fn contents(&self) -> Vec<u8> {
        let mut contents = self.memory.clone();
        for (page, private) in self.private.iter().enumerate() {
            if !private {
                let at = page * PAGE;
                let bytes = &mut contents[at..at + PAGE];
                self.file.read_exact_at(bytes, at as u64).unwrap();
            }
        }
        contents
    }

    /// Carries a command out and answers it.
    fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        self.commands += 1;
        let Decoded::Message(frame) = decode(message, Limits::for_transfers(1 << 20)) else {
            panic!("{message:x?}");
        };
        assert!(!frame.is_reply() && frame.consumed() == message.len());
        let mut reply = Vec::new();
        encoder::respond(&mut reply, &frame.header, |body| {
            if frame.header.command == Command::DmaRead.number() {
                let request = ReadRequest::parse(frame.payload).unwrap();
                let count = self.check(request.address, request.count as usize);
                let at = request.address as usize;
                ReadReply {
                    address: request.address,
                    data: &self.memory[at..at + count],
                }
                .encode(body);
            } else {
                let request = WriteRequest::parse(frame.payload).unwrap();
                let count = self.check(request.address, request.data.len());
                let at = request.address as usize;
                self.memory[at..at + count].copy_from_slice(&request.data[..count]);
                WriteReply {
                    address: request.address,
                    count: count as u64,
                }
                .encode(body);
            }
            Ok(())
        });
        reply
    }

    /// A command is about one page that has no file. How many bytes of it are done.
    fn check(&self, address: u64, count: usize) -> usize {
        let page = address as usize / PAGE;
        assert!(self.private[page] && count > 0 && count <= self.max_transfer as usize);
        assert_eq!((address as usize + count - 1) / PAGE, page);
        count.min(self.most)
    }

    /// Does a transfer from its beginning to its end; what it read.
    fn transfer(&mut self, queue: &mut DmaQueue, op: DmaOp) -> Result<Vec<u8>, DmaError> {
        let mut bounce = BounceBuffer::default();
        queue.progress.begin(&mut bounce);
        let length = length(&op);
        loop {
            queue.progress.slice(&op, &mut self.table, &mut bounce)?;
            if queue.progress.done == length {
                return Ok(queue.progress.data.clone());
            }
            let Some(asked) = &queue.progress.asked else {
                continue;
            };
            let mut command = Vec::new();
            asked.encode(queue.progress.source(&op), &mut command);
            let reply = self.answer(&command);
            let header = Header::parse(&reply).unwrap();
            let frame = Frame {
                header,
                payload: &reply[16..],
            };
            let asked = queue.progress.asked.take().unwrap();
            queue
                .progress
                .absorb(&asked, &op, &frame, &mut self.table)?;
        }
    }
}

fn pattern() -> Vec<u8> {
    (0..PAGES * PAGE).map(|at| (at * 7 % 251) as u8).collect()
}

fn queue() -> DmaQueue {
    DmaQueue::new(Duration::from_secs(5))
}

#[test]
fn only_memory_without_a_file_is_asked_for() {
    let len = (PAGES * PAGE / 2) as u32;
    for (private, commands) in [(false, 0), (true, PAGES)] {
        let mut client = Client::new(&[private], 1 << 20, PAGE, &pattern());
        let copy = DmaOp::Copy {
            from: 0,
            to: len.into(),
            len,
        };
        client.transfer(&mut queue(), copy).unwrap();
        assert_eq!(client.commands, commands, "a page at a time, to and fro");
        let contents = client.contents();
        let (source, destination) = contents.split_at(len as usize);
        assert!(source == destination);
    }
}

#[test]
fn what_reaches_over_the_end_of_all_maps_is_an_error() {
    let end = (PAGES * PAGE) as u64;
    let mut client = Client::new(&[true], 1 << 20, PAGE, &pattern());
    let read = DmaOp::Read {
        address: end - 4,
        len: 8,
    };
    let unmapped = Err(DmaError::Unmapped { address: end });
    assert_eq!(client.transfer(&mut queue(), read), unmapped);
    let write = DmaOp::Write {
        address: end - 4,
        data: vec![0; 8],
    };
    assert_eq!(client.transfer(&mut queue(), write), unmapped);
}

/// A transfer that has moved a slice of memory whose client then goes.
#[test]
fn a_transfer_in_flight_ends_with_the_maps_of_a_client_that_goes() {
    let (len, to) = (2 * SLICE as u32, 2 * SLICE as u64);
    for op in [
        DmaOp::Read { address: 0, len },
        DmaOp::Copy { from: 0, to, len },
    ] {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 * to).unwrap();
        let mut table = DmaTable::new(ClientMemory::FileIo, 1);
        let owner = Owner {
            client: 7,
            max_transfer: 4096,
        };
        let request = dma_map::Request {
            flags: DmaMapFlags::READ | DmaMapFlags::WRITE,
            offset: 0,
            address: 0,
            size: 2 * to,
        };
        table.map(&request, Some(file.into()), owner).unwrap();
        let (mut queue, mut bounce) = (queue(), BounceBuffer::default());
        let progress = &mut queue.progress;
        progress.slice(&op, &mut table, &mut bounce).unwrap();
        table.remove_client(owner.client);
        let mut ended = Ok(());
        while ended.is_ok() && progress.done < len as usize {
            ended = progress.slice(&op, &mut table, &mut bounce);
        }
        assert!(matches!(ended, Err(DmaError::Unmapped { .. })), "{op:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn transfers_are_whole_however_memory_is_reached(
        private in vec(any::<bool>(), 1..8),
        max_transfer in prop_oneof![Just(4096_u32), Just(1 << 20), 100..5000_u32],
        most in 50..5000_usize,
        // From the lower half to the upper one, so that a copy never overlaps.
        from in 0..PAGES * PAGE / 4,
        to in PAGES * PAGE / 2..PAGES * PAGE * 3 / 4,
        len in 1..PAGES * PAGE / 4,
    ) {
        let mut client = Client::new(&private, max_transfer, most, &pattern());
        let mut queue = queue();
        let mut expected = pattern();

        let read = DmaOp::Read { address: from as u64, len: len as u32 };
        let data = client.transfer(&mut queue, read);
        prop_assert!(data.as_deref() == Ok(&expected[from..from + len]));

        let copy = DmaOp::Copy { from: from as u64, to: to as u64, len: len as u32 };
        prop_assert_eq!(client.transfer(&mut queue, copy), Ok(Vec::new()));
        expected.copy_within(from..from + len, to);
        prop_assert!(client.contents() == expected);

        let data: Vec<u8> = (0..len).map(|at| (at * 3 % 241) as u8).collect();
        expected[to..to + len].copy_from_slice(&data);
        let write = DmaOp::Write { address: to as u64, data };
        prop_assert_eq!(client.transfer(&mut queue, write), Ok(Vec::new()));
        prop_assert!(client.contents() == expected);
    }
}
