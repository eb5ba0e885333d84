//! Messages as a stream: without replies, in a row, in pieces.

mod common;

use client_tests::raw::wire::{Bytes, command, flag, message, region};

use common::{SCRATCH, decoding, goes_on};

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
