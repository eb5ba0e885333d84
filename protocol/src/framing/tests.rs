use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::command::Command;
use crate::header::HeaderFlags;

const LIMITS: Limits = Limits {
    max_message_size: 96,
};

fn message(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

fn command(size: u32) -> Header {
    Header {
        message_size: size,
        ..Header::command(7, Command::RegionRead)
    }
}

fn refused(buffer: &[u8]) -> (FrameError, Extent) {
    match decode(buffer, LIMITS) {
        Decoded::Invalid(invalid) => (invalid.error, invalid.extent),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_message_is_cut_off_what_follows() {
    let mut bytes = message(command(20), b"abcd");
    bytes.extend_from_slice(b"next");
    let Decoded::Message(frame) = decode(&bytes, LIMITS) else {
        panic!("not a message")
    };
    assert_eq!(
        (frame.payload, frame.consumed(), frame.is_reply()),
        (&b"abcd"[..], 20, false)
    );
}

#[test]
fn what_is_missing_is_the_header_first_and_the_message_then() {
    let bytes = message(command(20), b"abcd");
    for (here, needed) in [(0, 16), (1, 15), (15, 1), (16, 4), (19, 1)] {
        assert_eq!(
            decode(&bytes[..here], LIMITS),
            Decoded::Incomplete { needed }
        );
    }
}

#[test]
fn a_reply_is_a_message_too() {
    let bytes = command(16).reply().to_bytes();
    assert!(matches!(decode(&bytes, LIMITS), Decoded::Message(frame) if frame.is_reply()));
}

#[test]
fn a_size_below_the_header_loses_the_position() {
    for size in [0, 1, 15] {
        let bytes = command(size).to_bytes();
        assert_eq!(
            refused(&bytes),
            (FrameError::SizeBelowHeader { size }, Extent::Unknown)
        );
    }
    assert_eq!(Extent::Unknown.bytes(), HEADER_SIZE);
}

#[test]
fn a_message_above_the_limit_is_refused_from_its_header_alone() {
    assert!(matches!(
        decode(&command(96).to_bytes(), LIMITS),
        Decoded::Incomplete { needed: 80 }
    ));
    for size in [97, u32::MAX] {
        let error = FrameError::SizeAboveLimit { size, limit: 96 };
        assert_eq!(
            refused(&command(size).to_bytes()),
            (error, Extent::Known(size))
        );
        assert_eq!(error.errno(), Errno::EINVAL);
    }
}

#[test]
fn a_type_that_is_neither_command_nor_reply_is_refused() {
    for nibble in 2..16 {
        let header = Header {
            flags: HeaderFlags::from_bits_retain(nibble),
            ..command(20)
        };
        assert_eq!(
            refused(&header.to_bytes()),
            (FrameError::UnknownType { nibble }, Extent::Known(20))
        );
    }
}

#[test]
fn a_batch_says_how_much_has_to_come() {
    let mut decoder = Decoder::new(LIMITS);
    let buffer = message(command(20), b"ab");
    let mut batch = decoder.batch(&buffer);
    assert_eq!(
        (batch.next(), batch.needed(), batch.consumed()),
        (None, 2, 0)
    );

    let oversized = message(command(1000), b"ab");
    let mut batch = decoder.batch(&oversized);
    assert!(matches!(batch.next(), Some(Err(_))));
    assert_eq!(
        (batch.next(), batch.needed(), batch.consumed()),
        (None, 1000 - 18 + 16, 18)
    );
    assert_eq!(decoder.skipping(), 1000 - 18);
}

#[test]
fn limits_leave_room_for_what_comes_with_the_data() {
    for (data, size) in [
        (0, 65_536 + 56),
        (65_537, 65_537 + 56),
        (1 << 20, (1 << 20) + 56),
        (u32::MAX, u32::MAX),
    ] {
        assert_eq!(Limits::for_transfers(data).max_message_size, size);
    }
}

#[test]
fn errors_say_what_came_and_what_would_be_right() {
    for (error, text) in [
        (
            FrameError::SizeBelowHeader { size: 15 },
            "message size is 15, it has to be at least 16",
        ),
        (
            FrameError::SizeAboveLimit { size: 9, limit: 8 },
            "message size is 9, it has to be at most 8",
        ),
        (
            FrameError::UnknownType { nibble: 3 },
            "message type is 3, it has to be 0 (command) or 1 (reply)",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

/// The report of a decoder, with the borrowed payload copied.
type Reported = Result<(Header, Vec<u8>), Invalid>;

/// A message and what a decoder has to say about it.
fn any_message() -> impl Strategy<Value = (Vec<u8>, Reported)> {
    let id_and_command = (any::<u16>(), any::<u16>());
    (
        id_and_command,
        vec(any::<u8>(), 0..160),
        any::<u32>(),
        any::<u32>(),
        0..8_u32,
    )
        .prop_map(|((message_id, command), payload, flag_bits, error, kind)| {
            // Mostly good messages; kind 0 has a bad type, kind 1 a size below the header, and long
            // payloads are above the limit.
            let nibble = if kind == 0 {
                2 + flag_bits % 14
            } else {
                flag_bits & 1
            };
            let payload = if kind == 1 { Vec::new() } else { payload };
            let whole = (HEADER_SIZE + payload.len()) as u32;
            let message_size = if kind == 1 { flag_bits % 16 } else { whole };
            let flags = HeaderFlags::from_bits_retain((flag_bits & !0xf) | nibble);
            let header = Header {
                message_id,
                command,
                message_size,
                flags,
                error,
            };
            let limit = LIMITS.max_message_size;
            let reported = if kind == 1 {
                let error = FrameError::SizeBelowHeader { size: message_size };
                Err(Invalid {
                    header,
                    error,
                    extent: Extent::Unknown,
                })
            } else if whole > limit {
                let error = FrameError::SizeAboveLimit { size: whole, limit };
                Err(Invalid {
                    header,
                    error,
                    extent: Extent::Known(whole),
                })
            } else if nibble > 1 {
                Err(Invalid {
                    header,
                    error: FrameError::UnknownType { nibble },
                    extent: Extent::Known(whole),
                })
            } else {
                Ok((header, payload.clone()))
            };
            (message(header, &payload), reported)
        })
}

/// Feeds the stream in pieces of these sizes, then the rest at once, the way a receiver with one
/// buffer does.
fn receive(stream: &[u8], pieces: &[usize]) -> (Vec<Reported>, Vec<u8>) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut buffer, mut reported) = (Vec::new(), Vec::new());
    let mut rest = stream;
    let mut pieces = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(pieces.next().unwrap().min(rest.len()));
        rest = behind;
        buffer.extend_from_slice(piece);
        let mut batch = decoder.batch(&buffer);
        for item in batch.by_ref() {
            reported.push(item.map(|frame| (frame.header, frame.payload.to_vec())));
        }
        let consumed = batch.consumed();
        buffer.drain(..consumed);
    }
    (reported, buffer)
}

proptest! {
    #[test]
    fn headers_survive_the_wire(bytes: [u8; HEADER_SIZE]) {
        prop_assert_eq!(Header::parse(&bytes).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn any_split_of_a_stream_gives_the_same_messages(
        messages in vec(any_message(), 0..8),
        pieces in vec(1_usize..64, 0..64),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<Reported> = messages.into_iter().map(|(_, reported)| reported).collect();
        prop_assert_eq!(receive(&stream, &pieces), (expected, Vec::new()));
    }

    #[test]
    fn one_split_at_every_boundary_changes_nothing(messages in vec(any_message(), 1..4)) {
        let stream: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let expected: Vec<Reported> = messages.into_iter().map(|(_, reported)| reported).collect();
        for at in 1..stream.len() {
            prop_assert_eq!(&receive(&stream, &[at]).0, &expected);
        }
    }

    #[test]
    fn arbitrary_bytes_are_consumed_or_waited_for(stream in vec(any::<u8>(), 0..256), piece in 1_usize..64) {
        let (_, left) = receive(&stream, &[piece]);
        prop_assert!(left.len() < LIMITS.max_message_size as usize);
    }

    #[test]
    fn what_is_needed_is_never_too_much(message in any_message(), here in 0_usize..200) {
        let (bytes, _) = message;
        let here = here.min(bytes.len());
        if let Decoded::Incomplete { needed } = decode(&bytes[..here], LIMITS) {
            prop_assert!(needed > 0 && here + needed <= bytes.len().max(HEADER_SIZE));
        }
    }
}
