//! The client, with a function of the harness, and with a server that misbehaves.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use dormouse::client::{Client, ClientError, Options, Ram};
use dormouse::models::host::RuntimePmStatus;
use dormouse::protocol::messages::dma_map;
use dormouse::protocol::messages::region_access::ReadReply;
use dormouse::protocol::messages::version::{self, MAJOR, MINOR};
use dormouse::protocol::vfio::{
    DeviceState, DmaMapFlags, Feature, IrqIndex, MigrationFlags, Operation, PowerManagementFlags,
    RegionFlags, RegionIndex,
};
use dormouse::protocol::{Command, Errno, HEADER_SIZE, Header, HeaderFlags};
use dormouse::testing::{Function, Served};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

const BAR0: u32 = RegionIndex::Bar0.number();
const BAR2: u32 = RegionIndex::Bar2.number();
const CONFIG: u32 = RegionIndex::Config.number();
const MSIX: u32 = IrqIndex::Msix.number();
const INTX: u32 = IrqIndex::Intx.number();

fn testdev(set: &[(&str, &str)]) -> Served {
    let function = Function::profile("testdev");
    let add = |function: Function, (key, value): &(&str, &str)| function.set(*key, *value);
    set.iter().fold(function, add).start().unwrap()
}

fn connect(served: &Served, options: Options) -> Client {
    let stream = UnixStream::connect(served.socket_path()).unwrap();
    Client::over(stream, options).unwrap()
}

fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

/// Signals of an eventfd since this was asked last.
fn count(eventfd: &OwnedFd) -> u64 {
    let mut counter = [0; 8];
    rustix::io::read(eventfd, &mut counter).map_or(0, |_| u64::from_ne_bytes(counter))
}

/// Has the test function copy `length` bytes from one DMA address to another.
fn copy<M: dormouse::client::Memory>(client: &mut Client<M>, from: u32, to: u32, length: u32) {
    client.write_u16(CONFIG, 4, 6).unwrap();
    for (register, value) in [
        (0x20, from),
        (0x28, to),
        (0x30, length),
        (0x34, 1),
        (0x38, 1),
    ] {
        client.write_u32(BAR0, register, value).unwrap();
    }
    for _ in 0..100 {
        if client.read_u32(BAR0, 0x3c).unwrap() & 1 == 0 {
            return;
        }
        client.serve_dma(Duration::from_millis(10)).unwrap();
    }
    panic!("the copy does not end");
}

#[test]
fn the_device_describes_itself() {
    let served = testdev(&[]);
    let mut client = served.client().unwrap();
    let info = client.device_info().unwrap();
    assert_eq!((info.num_regions, info.num_irqs), (9, 5));
    let config = client.region(CONFIG).unwrap();
    assert_eq!(config.info.flags, RegionFlags::READ | RegionFlags::WRITE);
    assert_eq!(config.info.size, 4096);
    assert!(config.files.is_empty());
    assert_eq!(client.irq_info(MSIX).unwrap().count, 16);
    let errno = client.region(99).unwrap_err().errno();
    assert_eq!(errno, Errno::EINVAL);
    client.reset().unwrap();
}

#[test]
fn what_is_too_long_for_a_message_goes_in_pieces() {
    let served = testdev(&[]);
    let mut options = Options::default();
    let capabilities = options.capabilities.as_mut().unwrap();
    capabilities.max_data_xfer_size = Some(4096);
    let mut client = connect(&served, options);
    assert_eq!(client.max_transfer(), 4096);
    client.write_u16(CONFIG, 4, 2).unwrap();
    let written: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
    client.write_all(BAR2, 3, &written).unwrap();
    let mut read = vec![0; written.len()];
    client.read_exact(BAR2, 3, &mut read).unwrap();
    assert_eq!(read, written);
    client
        .write_u64(BAR2, 0x100, 0x0102_0304_0506_0708)
        .unwrap();
    assert_eq!(client.read_u8(BAR2, 0x107).unwrap(), 1);
}

#[test]
fn mappable_areas_come_with_their_files() {
    let served = testdev(&[("bar.2.mappable", "true")]);
    let mut client = served.client().unwrap();
    let region = client.region(BAR2).unwrap();
    assert!(region.info.flags.contains(RegionFlags::MMAP));
    assert_eq!(region.files.len(), 1);
}

#[test]
fn interrupts_reach_their_eventfds() {
    let served = testdev(&[]);
    let mut client = served.client().unwrap();
    let fds = [new_eventfd(), new_eventfd()];
    client.bind_irqs(MSIX, 0, &fds).unwrap();
    client.trigger_irqs(MSIX, 1, 1).unwrap();
    assert_eq!((count(&fds[0]), count(&fds[1])), (0, 1));
    client.unbind_irqs(MSIX, 1, 1).unwrap();
    client.trigger_irqs(MSIX, 0, 2).unwrap();
    assert_eq!((count(&fds[0]), count(&fds[1])), (1, 0));
    client.disable_irqs(MSIX).unwrap();

    let resample = new_eventfd();
    client.bind_irqs(INTX, 0, &fds[..1]).unwrap();
    client.set_resample(INTX, Some(resample.as_fd())).unwrap();
    client.mask_irqs(INTX, 0, 1).unwrap();
    client.unmask_irqs(INTX, 0, 1).unwrap();
    client.set_resample(INTX, None).unwrap();
    let none: [OwnedFd; 0] = [];
    assert!(client.bind_irqs(INTX, 0, &none).is_err());
}

#[test]
fn memory_without_a_file_is_reached_on_either_socket() {
    for twin in [false, true] {
        let served = testdev(&[]);
        let mut options = Options::default();
        if twin {
            options.offer_twin_socket();
        }
        let client = connect(&served, options);
        assert_eq!(client.twin_socket().is_some(), twin);
        let mut client = client.with_memory(Ram::new(0x1000, 0x2000));
        client.map(0x1000, 0x2000).unwrap();
        client.memory_mut().bytes[..4].copy_from_slice(b"ping");
        copy(&mut client, 0x1000, 0x2000, 4);
        assert_eq!(&client.memory().bytes[0x1000..0x1004], b"ping");
        assert_eq!(client.read_u32(BAR0, 0x3c).unwrap() & 4, 0, "no error");
        assert!(client.unmap(0x1000, 0x1000).is_err(), "it cuts the map");
        client.unmap(0x1000, 0x2000).unwrap();
    }
}

#[test]
fn memory_that_the_caller_does_not_have_is_an_error_of_the_device() {
    let served = testdev(&[]);
    let mut client = served.client().unwrap();
    client.map(0, 0x2000).unwrap();
    copy(&mut client, 0, 0x1000, 4);
    assert_eq!(client.read_u32(BAR0, 0x3c).unwrap() & 4, 4);
    client.unmap_all().unwrap();
}

#[test]
fn memory_in_a_file_is_reached_through_it() {
    let served = testdev(&[]);
    let mut client = served.client().unwrap();
    let file = memfd_create("memory", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, 0x2000).unwrap();
    rustix::io::pwrite(&file, b"ping", 0).unwrap();
    let map = dma_map::Request {
        flags: DmaMapFlags::READ | DmaMapFlags::WRITE,
        offset: 0,
        address: 0,
        size: 0x2000,
    };
    client.map_file(&map, Some(file.as_fd())).unwrap();
    copy(&mut client, 0, 0x1000, 4);
    let mut copied = [0; 4];
    rustix::io::pread(&file, &mut copied, 0x1000).unwrap();
    assert_eq!(&copied, b"ping");
}

#[test]
fn low_power_is_entered_and_left() {
    let mut served = testdev(&[]);
    let mut client = served.client().unwrap();
    for feature in [
        Feature::LowPowerEntry,
        Feature::LowPowerEntryWithWakeup,
        Feature::LowPowerExit,
    ] {
        client
            .feature_probe(feature.number(), Operation::SET)
            .unwrap();
    }
    // PME in 50 ms.
    client.write_u16(CONFIG, 4, 2).unwrap();
    client.write_u32(BAR0, 0x10, 50).unwrap();
    let wakeup = new_eventfd();
    client.low_power_entry_with_wakeup(wakeup.as_fd()).unwrap();
    assert_eq!(
        served.status().unwrap().device.runtime_status,
        RuntimePmStatus::Suspended
    );
    served.advance(Duration::from_millis(49)).unwrap();
    assert_eq!(count(&wakeup), 0);
    served.advance(Duration::from_millis(1)).unwrap();
    assert_eq!(count(&wakeup), 1);
    client.low_power_exit().unwrap();
    let refused = client.low_power_entry_with_wakeup(std::io::stdin().as_fd());
    assert_eq!(refused.unwrap_err().errno(), Errno::EINVAL);
}

#[test]
fn the_other_dialect_has_one_feature() {
    let mut served = testdev(&[("host.pm-dialect", "v4")]);
    let mut client = served.client().unwrap();
    let agreed = client.agreed().capabilities.clone().unwrap();
    assert_eq!(agreed.pm_dialects, Some(vec!["v4".to_owned()]));
    client
        .set_power_management(PowerManagementFlags::ENTER)
        .unwrap();
    assert_eq!(
        served.status().unwrap().device.runtime_status,
        RuntimePmStatus::Suspended
    );
    client
        .set_power_management(PowerManagementFlags::EXIT)
        .unwrap();
    let flags = client.power_management().unwrap();
    assert_eq!(flags, PowerManagementFlags::EXIT);
}

#[test]
fn a_device_is_moved() {
    let (from, to) = (testdev(&[]), testdev(&[]));
    let (mut source, mut target) = (from.client().unwrap(), to.client().unwrap());
    assert!(
        source
            .migration_kinds()
            .unwrap()
            .contains(MigrationFlags::STOP_COPY)
    );
    source.write_u16(CONFIG, 4, 2).unwrap();
    source.write_u32(BAR0, 4, 0x5afe).unwrap();
    source.set_device_state(DeviceState::StopCopy).unwrap();
    target.set_device_state(DeviceState::Resuming).unwrap();
    loop {
        let piece = source.read_migration_data(1000).unwrap();
        target.write_migration_data(&piece).unwrap();
        if piece.len() < 1000 {
            break;
        }
    }
    target.set_device_state(DeviceState::Stop).unwrap();
    target.set_device_state(DeviceState::Running).unwrap();
    assert_eq!(target.device_state().unwrap(), DeviceState::Running);
    assert_eq!(target.read_u32(BAR0, 4).unwrap(), 0x5afe);
}

/// A server that answers VERSION and then gives, for each request, what `answer` makes of its header.
fn misbehaving(
    mut answer: impl FnMut(&Header, &mut UnixStream) + Send + 'static,
) -> (Client, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let mut asked = 0;
        loop {
            let mut header = [0; HEADER_SIZE];
            if theirs.read_exact(&mut header).is_err() {
                return;
            }
            let header = Header::parse(&header).unwrap();
            let mut payload = vec![0; header.message_size as usize - HEADER_SIZE];
            theirs.read_exact(&mut payload).unwrap();
            asked += 1;
            if asked > 1 {
                answer(&header, &mut theirs);
                continue;
            }
            let agreed = version::Reply {
                major: MAJOR,
                minor: MINOR,
                capabilities: None,
            };
            let mut reply = Vec::new();
            dormouse::protocol::respond(&mut reply, &header, |body| {
                agreed.encode(body);
                Ok(())
            });
            theirs.write_all(&reply).unwrap();
        }
    });
    let mut options = Options::default();
    options.timeout = Some(Duration::from_millis(200));
    (Client::over(ours, options).unwrap(), server)
}

/// The reply to a read, with these data.
fn read_reply(header: &Header, offset: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    dormouse::protocol::respond(&mut bytes, header, |body| {
        let region = BAR0;
        ReadReply {
            offset,
            region,
            data,
        }
        .encode(body);
        Ok(())
    });
    bytes
}

#[test]
fn nothing_is_taken_that_is_larger_than_announced() {
    let (mut client, server) = misbehaving(|header, socket| {
        let huge = Header {
            message_size: 100 << 20,
            ..header.reply()
        };
        socket.write_all(&huge.to_bytes()).unwrap();
    });
    let error = client.read_u32(BAR0, 0).unwrap_err();
    assert!(matches!(error, ClientError::Frame(_)), "{error}");
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_reply_that_contradicts_its_request_is_an_error() {
    for (offset, data) in [(0, &[0; 8][..]), (4, &[0; 4])] {
        let (mut client, server) = misbehaving(move |header, socket| {
            socket.write_all(&read_reply(header, offset, data)).unwrap();
        });
        let error = client.read_u32(BAR0, 0).unwrap_err();
        assert!(matches!(error, ClientError::Mismatch { .. }), "{error}");
        drop(client);
        server.join().unwrap();
    }
    let (mut client, server) = misbehaving(|header, socket| {
        socket.write_all(&read_reply(header, 0, &[7])).unwrap();
    });
    let error = client.read_u32(BAR0, 0).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Short {
                actual: 1,
                wanted: 4,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        client.read_u8(BAR0, 0).unwrap(),
        7,
        "the connection goes on"
    );
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_reply_that_comes_too_late_is_dropped() {
    let mut held: Option<Header> = None;
    let (mut client, server) = misbehaving(move |header, socket| match held.take() {
        None => held = Some(*header),
        Some(first) => {
            socket.write_all(&read_reply(&first, 0, &[1])).unwrap();
            socket.write_all(&read_reply(header, 0, &[2])).unwrap();
        }
    });
    let error = client.read_u8(BAR0, 0).unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::TimedOut {
                command: Command::RegionRead
            }
        ),
        "{error}"
    );
    assert_eq!(error.errno(), Errno::ETIMEDOUT);
    assert_eq!(client.read_u8(BAR0, 0).unwrap(), 2);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_server_may_ask_for_anything() {
    // DMA_READ of more than anybody takes, and a command that no client knows.
    let asked: [(u16, &[u64]); 3] = [(11, &[0, u64::MAX]), (11, &[0, 4]), (99, &[])];
    let (mut client, server) = misbehaving(move |header, socket| {
        for (command, fields) in asked {
            let payload: Vec<u8> = fields
                .iter()
                .flat_map(|field| field.to_ne_bytes())
                .collect();
            let command = Header {
                message_id: 7,
                command,
                message_size: (HEADER_SIZE + payload.len()) as u32,
                flags: HeaderFlags::empty(),
                error: 0,
            };
            socket.write_all(&command.to_bytes()).unwrap();
            socket.write_all(&payload).unwrap();
            let mut reply = [0; HEADER_SIZE];
            socket.read_exact(&mut reply).unwrap();
            let reply = Header::parse(&reply).unwrap();
            assert_eq!((reply.message_id, reply.command), (7, command.command));
            assert!(reply.failure().is_some());
        }
        socket.write_all(&read_reply(header, 0, &[3])).unwrap();
    });
    assert_eq!(client.read_u8(BAR0, 0).unwrap(), 3);
    drop(client);
    server.join().unwrap();
}

#[test]
fn the_end_of_the_server_is_an_error() {
    let (mut client, server) = misbehaving(|header, socket| {
        let bytes = read_reply(header, 0, &[1, 2, 3, 4]);
        socket.write_all(&bytes[..20]).unwrap();
        socket.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let error = client.read_u32(BAR0, 0).unwrap_err();
    assert!(matches!(error, ClientError::Closed), "{error}");
    assert!(matches!(client.read_u32(BAR0, 0), Err(ClientError::Closed)));
    server.join().unwrap();
}
