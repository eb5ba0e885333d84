//! Messages as a stream: without replies, in a row, in pieces.

use std::os::fd::AsFd;

use client_tests::os::Memory;
use client_tests::raw::wire::{Bytes, EINVAL, command, flag, irq, message, region};

use crate::common::{SCRATCH, decoding, goes_on};

#[test]
fn a_command_without_reply_gets_none_but_is_carried_out() {
    let (_daemon, mut client) = decoding();
    let write = Bytes::new().u64(SCRATCH).u32(0).u32(4).bytes(&[1, 2, 3, 4]);
    client
        .post(command::REGION_WRITE, flag::NO_REPLY, &write, &[])
        .unwrap();
    assert_eq!(client.read(0, SCRATCH, 4).unwrap(), [1, 2, 3, 4]);
    // None of these is answered, well-formed or not, so the next reply is that to the read.
    for (number, payload) in [
        (command::VERSION, Bytes::new()),
        (
            command::DMA_MAP,
            Bytes::new().u32(32).u32(3).u64(0).u64(0x1000).u64(0x1000),
        ),
        (command::DMA_MAP, Bytes::new()),
        (
            command::DMA_UNMAP,
            Bytes::new().u32(24).u32(0).u64(0x1000).u64(0x1000),
        ),
        (command::DEVICE_GET_INFO, Bytes::new().u32(16).u32(0).u64(0)),
        (
            command::DEVICE_GET_REGION_INFO,
            Bytes::new().u32(32).u64(0).u64(0).u64(0).u32(0),
        ),
        (
            command::DEVICE_GET_IRQ_INFO,
            Bytes::new().u32(16).u32(0).u64(0),
        ),
        (
            command::DEVICE_SET_IRQS,
            Bytes::new().u32(20).u32(0x21).u64(0).u32(0),
        ),
        (command::DEVICE_SET_IRQS, Bytes::new()),
        (command::REGION_READ, Bytes::new().u64(0).u32(0).u32(4)),
        (command::REGION_READ, Bytes::new().u64(0).u32(77).u32(4)),
        (command::DEVICE_FEATURE, Bytes::new().u32(8).u32(3)),
        (999, Bytes::new()),
        (command::DEVICE_RESET, Bytes::new()),
    ] {
        client.post(number, flag::NO_REPLY, &payload, &[]).unwrap();
        goes_on(&mut client, &format!("command {number} without reply"));
    }
    client.write(region::CONFIG, 4, &[2, 0]).unwrap();
    assert_eq!(
        client.read(0, SCRATCH, 4).unwrap(),
        [0; 4],
        "DEVICE_RESET was carried out"
    );
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let (_daemon, mut client) = decoding();
    let mut stream = Vec::new();
    for id in 0..500_u16 {
        let write = Bytes::new()
            .u64(SCRATCH)
            .u32(0)
            .u32(2)
            .bytes(&id.to_le_bytes());
        stream.extend(message(id, command::REGION_WRITE, flag::NO_REPLY, &write));
        let read = Bytes::new().u64(SCRATCH).u32(0).u32(2);
        // Ids mean something to the sender only, and may repeat.
        stream.extend(message(id / 2, command::REGION_READ, flag::COMMAND, &read));
    }
    client.send(&stream, &[]).unwrap();
    for id in 0..500_u16 {
        let reply = client.receive().unwrap();
        assert_eq!(reply.id, id / 2);
        assert_eq!(reply.success().unwrap()[16..], id.to_le_bytes());
    }
    assert!(!client.has_message().unwrap());
    goes_on(&mut client, "500 pairs of messages");
}

#[test]
fn a_mix_of_commands_is_carried_out_and_answered_in_order() {
    const NOTHING: u16 = 999;
    let (_daemon, mut client) = decoding();
    let memory = Memory::new(0x1000).unwrap();
    let mut scratch = [0; 4];
    let mut expected = Vec::new();
    for round in 0..5000_u32 {
        // Each kind follows each other kind.
        let kind = round.wrapping_mul(0x9e37_79b1) >> 16;
        let (value, address) = (round.to_le_bytes(), u64::from(round) << 12);
        let access = Bytes::new().u64(SCRATCH).u32(0).u32(4);
        let multi = || {
            let [first, last] = [[0xff; 4], value].map(|data| access.clone().bytes(&data).u32(0));
            Bytes::new().u64(2).bytes(&first).bytes(&last)
        };
        let unmap = Bytes::new().u32(24).u32(0).u64(0).u64(1 << 63);
        let (number, payload, fds, reply) = match kind % 7 {
            0 => (
                command::REGION_READ,
                access.clone(),
                0,
                Ok(access.bytes(&scratch)),
            ),
            1 => (
                command::REGION_WRITE,
                access.clone().bytes(&value),
                0,
                Ok(access),
            ),
            2 => (
                command::REGION_WRITE_MULTI,
                multi(),
                0,
                Ok(Bytes::new().u64(2)),
            ),
            3 => (NOTHING, access, 0, Err(EINVAL)),
            4 => {
                let map = Bytes::new().u32(32).u32(3).u64(0).u64(address).u64(0x1000);
                (command::DMA_MAP, map, 1, Ok(Bytes::new()))
            }
            5 => (command::DMA_UNMAP, unmap.clone(), 0, Ok(unmap)),
            _ => {
                let info = Bytes::new().u32(16).u32(0).u32(irq::MSIX);
                let reply = info.clone().u32(16);
                (command::DEVICE_GET_IRQ_INFO, info.u32(0), 0, Ok(reply))
            }
        };
        if matches!(kind % 7, 1 | 2) {
            scratch = value;
        }
        let silent = kind >> 8 & 1 == 1;
        let flags = if silent {
            flag::NO_REPLY
        } else {
            flag::COMMAND
        };
        let fds = &[memory.as_fd()][..fds];
        let id = client.post(number, flags, &payload, fds).unwrap();
        if !silent {
            expected.push((id, number, reply));
        }
    }
    assert!(expected.len() > 2000);
    for (id, number, expected) in expected {
        let reply = client.receive().unwrap();
        assert_eq!((reply.id, reply.command), (id, number));
        match expected {
            Ok(payload) if number == command::DEVICE_GET_IRQ_INFO => {
                // The flags are told elsewhere.
                let told = reply.success().unwrap();
                assert_eq!((&told[..4], &told[8..]), (&payload[..4], &payload[8..]));
            }
            Ok(payload) => assert_eq!(reply.success().unwrap(), *payload, "{number}"),
            Err(errno) => assert_eq!(reply.failure().unwrap(), errno),
        }
    }
    goes_on(&mut client, "5000 messages");
}

#[test]
fn messages_may_come_in_any_pieces() {
    let (_daemon, mut client) = decoding();
    let write = Bytes::new().u64(SCRATCH).u32(0).u32(4).bytes(&[4, 3, 2, 1]);
    let write = message(1, command::REGION_WRITE, flag::COMMAND, &write);
    let read = message(
        2,
        command::REGION_READ,
        flag::COMMAND,
        &Bytes::new().u64(SCRATCH).u32(0).u32(4),
    );
    let both = [write, read].concat();
    for cut in 1..both.len() {
        let (first, rest) = both.split_at(cut);
        client.send(first, &[]).unwrap();
        // A server that acts on half a message would say something by now, and one that waits for
        // this client would not serve another one.
        client.send(rest, &[]).unwrap();
        assert_eq!(
            client.receive().unwrap().success().unwrap().len(),
            16,
            "cut at {cut}"
        );
        assert_eq!(
            client.receive().unwrap().success().unwrap()[16..],
            [4, 3, 2, 1],
            "cut at {cut}"
        );
    }
    for byte in both {
        client.send(&[byte], &[]).unwrap();
    }
    assert_eq!(client.receive().unwrap().id, 1);
    assert_eq!(client.receive().unwrap().id, 2);
    goes_on(&mut client, "single bytes");
}
