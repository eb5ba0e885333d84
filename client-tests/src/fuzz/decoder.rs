//! The message decoder: the same stream, whole, in pieces and byte by byte.

use vfio_user_protocol::messages::{
    device_feature, dma_access, dma_map, dma_unmap, irq_info, mig_data, region_access, region_info,
    set_irqs, version, write_multi,
};
use vfio_user_protocol::{Command, Decoder, HEADER_SIZE, Header, Invalid, Limits};

use super::input::Input;
use crate::raw::wire;

const LIMITS: [u32; 4] = [64, 4096, 1 << 20, 16];

/// A message in the stream.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    start: usize,
    /// Size in bytes, including those that have not come.
    size: usize,
    header: Header,
    /// Payload, if the message was not refused.
    payload: Option<Vec<u8>>,
}

/// Cuts the stream that the input describes in several ways and compares the results.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let limits = Limits {
        max_message_size: input.pick(&LIMITS),
    };
    let sizes = input.bytes(4).to_vec();
    let stream = stream(&mut input);

    let whole = cut(limits, &stream, std::iter::repeat(stream.len().max(1)));
    for items in whole.windows(2) {
        assert_eq!(
            items[0].start + items[0].size,
            items[1].start,
            "a message does not begin where the one before ends"
        );
    }
    for item in &whole {
        let header = Header::parse(&stream[item.start..]);
        assert_eq!(header, Some(item.header), "not the header that is there");
        if let Some(payload) = &item.payload {
            let end = item.start + item.size;
            assert_eq!(stream[item.start + HEADER_SIZE..end], payload[..]);
            packs_again(item.header.command, payload);
        }
    }
    assert_eq!(whole, cut(limits, &stream, std::iter::repeat(1)));
    if sizes.iter().any(|size| *size > 0) {
        let sizes = sizes.into_iter().map(usize::from).cycle();
        assert_eq!(whole, cut(limits, &stream, sizes));
    }
}

/// Returns the messages of a stream that comes in pieces of these sizes.
fn cut(limits: Limits, stream: &[u8], sizes: impl Iterator<Item = usize>) -> Vec<Item> {
    let mut decoder = Decoder::new(limits);
    let mut items = Vec::new();
    // The buffer is what of the stream lies between the two.
    let (mut taken, mut came) = (0, 0);
    // Before this many bytes there can be no other message.
    let mut earliest = 0;
    for size in sizes {
        if came == stream.len() {
            break;
        }
        came = (came + size).min(stream.len());
        let mut batch = decoder.batch(&stream[taken..came]);
        while let Some(item) = batch.next() {
            assert!(came >= earliest, "a message came before it could");
            let (header, size, payload) = match item {
                Ok(frame) => (frame.header, frame.consumed(), Some(frame.payload.to_vec())),
                Err(Invalid { header, extent, .. }) => (header, extent.bytes(), None),
            };
            let end = taken + batch.consumed();
            let here = end.min(came);
            // Of a refused message the end may not have come yet.
            let start = items.last().map_or(0, |last: &Item| last.start + last.size);
            assert!(start + size >= here && start < here);
            items.push(Item {
                start,
                size,
                header,
                payload,
            });
        }
        let needed = batch.needed();
        assert!(needed > 0, "nothing is missing, but there is no message");
        earliest = came + needed;
        taken += batch.consumed();
    }
    items
}

/// Checks that every payload that its command's parser accepts is packed again to one with the same
/// content.
fn packs_again(command: u16, payload: &[u8]) {
    macro_rules! again {
        ($($message:ident)::+) => {
            if let Ok(request) = $($message)::+::parse(payload) {
                let mut packed = Vec::new();
                request.encode(&mut packed);
                assert_eq!($($message)::+::parse(&packed).as_ref(), Ok(&request));
            }
        };
    }
    match Command::try_from(command) {
        Ok(Command::Version) => version_again(payload),
        Ok(Command::DmaMap) => again!(dma_map::Request),
        Ok(Command::DmaUnmap) => again!(dma_unmap::Request),
        Ok(Command::DeviceGetRegionInfo) => again!(region_info::Request),
        Ok(Command::DeviceGetIrqInfo) => again!(irq_info::Request),
        Ok(Command::DeviceSetIrqs) => again!(set_irqs::Request),
        Ok(Command::RegionRead) => {
            again!(region_access::ReadRequest);
            again!(region_access::ReadReply);
        }
        Ok(Command::RegionWrite) => again!(region_access::WriteRequest),
        Ok(Command::DmaRead) => again!(dma_access::ReadReply),
        Ok(Command::DmaWrite) => again!(dma_access::WriteReply),
        Ok(Command::DeviceFeature) => again!(device_feature::Request),
        Ok(Command::MigDataRead) => again!(mig_data::ReadRequest),
        Ok(Command::MigDataWrite) => again!(mig_data::WriteRequest),
        // Parsed in place, never packed from what was parsed.
        Ok(Command::RegionWriteMulti) => drop(write_multi::Request::parse(payload)),
        _ => {}
    }
}

/// Checks VERSION as [`packs_again`] does. Its text keeps its content, but not its length.
fn version_again(payload: &[u8]) {
    if let Ok(proposal) = version::Proposal::parse(payload) {
        let mut packed = Vec::new();
        proposal.encode(&mut packed);
        let again = version::Proposal::parse(&packed).map(|again| version::Proposal {
            text_size: proposal.text_size,
            ..again
        });
        assert_eq!(again, Ok(proposal));
    }
}

/// Returns messages that mostly have a valid header, or the bytes themselves.
fn stream(input: &mut Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() {
        let kind = input.u8();
        let (id, command) = (input.u16(), u16::from(input.u8() % 21));
        let len = usize::from(input.u8());
        let payload = input.bytes(len);
        let size = (HEADER_SIZE + payload.len()) as u32;
        match kind % 8 {
            0..=4 => {
                let flags = [0, 1, 0x10][usize::from(kind % 3)];
                stream.extend(wire::message(id, command, flags, payload));
            }
            // The size is wrong, or the type.
            5 => {
                let wrong = input.pick(&[0, 15, 17, 64, 65, 4097, u32::MAX, size + 1]);
                stream.extend_from_slice(&wire::header(id, command, wrong, 0, 0).bytes(payload));
            }
            6 => {
                let flags = input.u32();
                let header = wire::header(id, command, size, flags, input.u32());
                stream.extend_from_slice(&header.bytes(payload));
            }
            _ => stream.extend_from_slice(payload),
        }
    }
    stream
}
