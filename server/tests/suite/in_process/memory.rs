use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use vfio_user_protocol::Command;

use super::client::{Client, EINVAL, words};
use super::interrupts::{enable_msix, event, wait};
use super::*;

const DMA_SRC: u64 = 0x20;
const DMA_DST: u64 = 0x28;
const DMA_LEN: u64 = 0x30;
const DMA_COUNT: u64 = 0x34;
const DMA_CTRL: u64 = 0x38;
const DMA_STATUS: u64 = 0x3c;
const GO_AND_TELL: u32 = 3;
const DONE: u32 = 2;
const UNMAPPED: u32 = 0x106;

const MEBI: u64 = 1 << 20;

/// 4 MiB of a client's, which begin at DMA address 4 GiB.
struct Memory {
    file: File,
}

const BASE: u64 = 4 << 30;

impl Memory {
    fn new(client: &mut Client) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("client", flags).unwrap());
        file.set_len(4 * MEBI).unwrap();
        fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        // In halves that adjoin, the other way round in the file.
        client.map(BASE, 2 * MEBI, 2 * MEBI, Some(&file)).unwrap();
        client
            .map(BASE + 2 * MEBI, 2 * MEBI, 0, Some(&file))
            .unwrap();
        Self { file }
    }

    fn place(address: u64) -> u64 {
        (address - BASE) ^ (2 * MEBI)
    }

    fn write(&self, address: u64, data: &[u8]) {
        self.file.write_all_at(data, Self::place(address)).unwrap();
    }

    fn read(&self, address: u64) -> [u8; 8] {
        let mut data = [0; 8];
        self.file
            .read_exact_at(&mut data, Self::place(address))
            .unwrap();
        data
    }
}

/// Has the device copy, waits for it to say that it is done, and gives its status.
fn copy(client: &mut Client, done: &OwnedFd, from: u64, to: u64, len: u32) -> u32 {
    for (register, address) in [(DMA_SRC, from), (DMA_DST, to)] {
        client.set_register(register, address as u32);
        client.set_register(register + 4, (address >> 32) as u32);
    }
    client.set_register(DMA_LEN, len);
    client.set_register(DMA_COUNT, 1);
    client.set_register(DMA_CTRL, GO_AND_TELL);
    wait(done);
    client.register(DMA_STATUS)
}

/// A client whose device can do DMA, and the eventfd that tells when it has.
fn dma_client(server: &Running) -> (Client, OwnedFd) {
    let mut client = server.client();
    client.enable();
    let done = event();
    client.set_irqs(0x24, 2, (0, 1), &[&done]).unwrap();
    enable_msix(&mut client);
    (client, done)
}

fn server(client_memory: ClientMemory) -> Running {
    Running::with(Settings::default(), client_memory)
}

#[test]
fn a_device_copies_within_client_memory() {
    for client_memory in [ClientMemory::FileIo, ClientMemory::MapSealed] {
        let server = server(client_memory);
        let (mut client, done) = dma_client(&server);
        let memory = Memory::new(&mut client);
        memory.write(BASE + 100, b"a few bytes");
        assert_eq!(
            copy(&mut client, &done, BASE + 100, BASE + 3 * MEBI, 8),
            DONE
        );
        assert_eq!(&memory.read(BASE + 3 * MEBI), b"a few by");

        // More than a slice, across the border of the two maps.
        memory.write(BASE + MEBI, b"at start");
        memory.write(BASE + 2 * MEBI + 77, b"at end..");
        let len = MEBI as u32 + 77 + 8;
        assert_eq!(copy(&mut client, &done, BASE + MEBI, BASE, len), DONE);
        assert_eq!(&memory.read(BASE), b"at start");
        assert_eq!(&memory.read(BASE + MEBI + 77), b"at end..");
        let connection = server.control().ask("status")["connection"].clone();
        assert_eq!(connection["dma_errors"], 0);
        assert_eq!(connection["dma_maps"], 2);
    }
}

#[test]
fn memory_that_is_not_there_is_an_error_of_the_device() {
    let server = server(ClientMemory::FileIo);
    let (mut client, done) = dma_client(&server);
    let _memory = Memory::new(&mut client);
    assert_eq!(copy(&mut client, &done, 0, BASE, 8), UNMAPPED);
    assert_eq!(
        copy(&mut client, &done, BASE, BASE + 4 * MEBI - 4, 8),
        UNMAPPED
    );
    let connection = server.control().ask("status")["connection"].clone();
    assert_eq!(connection["dma_errors"], 2);
}

#[test]
fn maps_are_made_and_taken_back_in_any_number() {
    let server = Running::new();
    let mut client = server.client();
    let memory = Memory::new(&mut client);
    let unmap = |client: &mut Client, flags: u32, address: u64, size: u64| {
        let mut payload = words(&[24, flags]);
        payload.extend(address.to_ne_bytes());
        payload.extend(size.to_ne_bytes());
        let reply = client.request(Command::DmaUnmap, &payload)?;
        assert_eq!(reply, payload);
        Ok(())
    };
    assert_eq!(client.map(BASE, 4096, 0, Some(&memory.file)), Err(17));
    assert_eq!(client.map(1, 4096, 0, Some(&memory.file)), Err(EINVAL));
    assert_eq!(client.map(0, 0, 0, None), Err(EINVAL));
    assert_eq!(client.map(!4095, 8192, 0, None), Err(EINVAL));
    assert_eq!(unmap(&mut client, 0, BASE, 4096), Err(EINVAL));
    assert_eq!(unmap(&mut client, 0, BASE + 16 * MEBI, 4096), Ok(()));
    assert_eq!(unmap(&mut client, 0, BASE, 1 << 47), Ok(()));
    for page in 0..1000 {
        let map = client.map(page * 4096, 4096, page * 4096, Some(&memory.file));
        assert_eq!(map, Ok(Vec::new()));
    }
    let mut control = server.control();
    assert_eq!(control.ask("status")["connection"]["dma_maps"], 1000);
    assert_eq!(unmap(&mut client, 2, 0, 0), Ok(()));
    assert_eq!(control.ask("status")["connection"]["dma_maps"], 0);
}
