//! Sessions described by bytes: mostly messages that their command's parser accepts.

use pci_device_models::profile::Profile;

use crate::fuzz::input::Input;
use crate::raw::wire::{
    self, Bytes, command, device_feature, dma_map, flag, irq, region, set_irqs,
};

/// Number of clients at a time.
pub(super) const CLIENTS: usize = 2;

/// The kind of a descriptor that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of two eventfds.
    Event(usize),
    /// Memory that can shrink.
    Memory,
    /// Memory that cannot shrink.
    Sealed,
    /// Another kind.
    Null,
}

const KINDS: [Kind; 6] = [
    Kind::Event(0),
    Kind::Event(1),
    Kind::Memory,
    Kind::Sealed,
    Kind::Null,
    Kind::Event(0),
];

/// One step of a session.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A client sends. It connects first if it is not connected.
    Send {
        client: usize,
        bytes: Vec<u8>,
        fds: Vec<Kind>,
    },
    /// A line for the control socket.
    Line(&'static str),
    /// A client disconnects.
    Leave(usize),
}

/// The steps of a session, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    connected: [bool; CLIENTS],
    id: u16,
    pmcsr: u64,
}

const LINES: [&str; 27] = [
    r#"{"verb":"clock","action":"advance","duration":"200us"}"#,
    r#"{"verb":"clock","action":"advance","duration":"10ms"}"#,
    r#"{"verb":"clock","action":"advance","duration":"2s"}"#,
    r#"{"verb":"clock","action":"advance","duration":"10s"}"#,
    r#"{"verb":"pme"}"#,
    r#"{"verb":"suspend"}"#,
    r#"{"verb":"host-access"}"#,
    r#"{"verb":"reset","kind":"hot"}"#,
    r#"{"verb":"reset","kind":"flr"}"#,
    r#"{"verb":"rail","state":"off"}"#,
    r#"{"verb":"rail","state":"on"}"#,
    r#"{"verb":"control","mode":"on"}"#,
    r#"{"verb":"control","mode":"auto"}"#,
    r#"{"verb":"d3cold-allowed","allowed":0}"#,
    r#"{"verb":"intx","level":"assert"}"#,
    r#"{"verb":"intx","level":"deassert"}"#,
    r#"{"verb":"interrupt","vector":0}"#,
    r#"{"verb":"suspend-delay","delay":0}"#,
    r#"{"verb":"suspend-delay","delay":"manual"}"#,
    r#"{"verb":"fail-resume","errno":"EIO","times":1}"#,
    r#"{"verb":"status"}"#,
    r#"{"verb":"dead-after-cold","state":"on"}"#,
    r#"{"verb":"fault","action":"add","when":"reset","what":"not-ready 300ms"}"#,
    r#"{"verb":"fault","action":"add","when":"interrupt","what":"msi-lost"}"#,
    r#"{"verb":"fault","action":"add","when":"dma chance 1/2 seed 1","what":"dma-error"}"#,
    r#"{"verb":"fault","action":"add","when":"bar-write 0","what":"gone 1ms"}"#,
    r#"{"verb":"fault","action":"clear"}"#,
];

/// Sizes and addresses of pages, and their neighbours.
const NUMBERS: [u64; 14] = [
    0,
    1,
    4,
    0x10,
    0x1000,
    0x1001,
    0x2000,
    0x8000,
    0x1_0000,
    0xffff_ffff,
    1 << 32,
    1 << 43,
    u64::MAX - 0xfff,
    u64::MAX,
];

impl Script {
    /// Reads all steps that the input describes for a function of that profile.
    pub(super) fn read(profile: &Profile, input: &mut Input<'_>) -> Self {
        let mut script = Self {
            pmcsr: pmcsr(profile.config_space()),
            ..Self::default()
        };
        while !input.is_empty() && script.steps.len() < 64 {
            script.step(input);
        }
        script
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let kind = input.u8();
        let client = usize::from(kind >> 7);
        match kind % 32 {
            30 => self.steps.push(Step::Line(input.pick(&LINES))),
            31 => {
                self.connected[client] = false;
                self.steps.push(Step::Leave(client));
            }
            which => {
                let (message, takes) = self.message(which, input);
                self.greet(client, input);
                let count = match takes {
                    Takes::Fds => input.below(4),
                    // Now and then they come where they have no place.
                    Takes::None if kind & 0x60 == 0x60 => input.below(2),
                    Takes::None => 0,
                };
                let fds = (0..count).map(|_| input.pick(&KINDS)).collect();
                self.steps.push(Step::Send {
                    client,
                    bytes: message,
                    fds,
                });
            }
        }
    }

    /// Adds VERSION, unless the client has sent it or omits it.
    fn greet(&mut self, client: usize, input: &mut Input<'_>) {
        if self.connected[client] {
            return;
        }
        self.connected[client] = true;
        let text: &[u8] = match input.below(8) {
            0 => return,
            1 => b"{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}\0",
            2 => b"{\"capabilities\":{\"max_data_xfer_size\":16,\"write_multiple\":true}}\0",
            _ => b"",
        };
        let payload = Bytes::new().u16(0).u16(1).bytes(text);
        self.steps.push(Step::Send {
            client,
            bytes: wire::message(0xffff, command::VERSION, flag::COMMAND, &payload),
            fds: Vec::new(),
        });
    }

    fn message(&mut self, which: u8, input: &mut Input<'_>) -> (Vec<u8>, Takes) {
        self.id = self.id.wrapping_add(1);
        let flags = if input.u8() >= 0xf0 {
            flag::NO_REPLY
        } else {
            flag::COMMAND
        };
        let (command, payload, takes) = self.request(which, input);
        let message = match which {
            // Anything at all.
            28 => {
                let header = wire::header(
                    input.u16(),
                    input.u16() % 24,
                    input.pick(&[0, 15, 16, 17, 24, 64, 0x10_0038, 0x10_0039, u32::MAX]),
                    input.u32(),
                    input.u32(),
                );
                header.bytes(&payload).into()
            }
            29 => payload.into(),
            _ => wire::message(self.id, command, flags, &payload),
        };
        (message, takes)
    }

    fn request(&self, which: u8, input: &mut Input<'_>) -> (u16, Bytes, Takes) {
        let plain = |command, payload| (command, payload, Takes::None);
        match which {
            0..=3 => {
                let access = self
                    .access(input)
                    .u32(input.pick(&[4, 1, 2, 8, 0, 64, 4096, 0x2_0000]));
                plain(command::REGION_READ, access)
            }
            4..=8 => {
                let access = self.access(input);
                let len = input.pick(&[4, 1, 2, 8, 0, 3, 16, 64]);
                let payload = access.u32(len as u32).bytes(&padded(input, len));
                plain(command::REGION_WRITE, payload)
            }
            9 => {
                let state = input.u8();
                let access = Bytes::new().u64(self.pmcsr).u32(region::CONFIG).u32(1);
                plain(command::REGION_WRITE, access.bytes(&[state]))
            }
            10..=12 => (command::DEVICE_SET_IRQS, irqs(input), Takes::Fds),
            13 | 14 => (command::DMA_MAP, map(input), Takes::Fds),
            15 => plain(command::DMA_UNMAP, unmap(input)),
            16 => plain(
                command::DEVICE_GET_INFO,
                Bytes::new().u32(16 + input.u32() % 32).u32(0).u64(0),
            ),
            17 => {
                let fields = Bytes::new().u32(32 + input.u32() % 256).u32(0);
                let fields = fields.u32(input.u32() % 10).u32(0).u64(0).u64(0);
                plain(command::DEVICE_GET_REGION_INFO, fields)
            }
            18 => {
                let fields = Bytes::new().u32(16).u32(0).u32(input.u32() % 7).u32(0);
                plain(command::DEVICE_GET_IRQ_INFO, fields)
            }
            19 => {
                let fields = Bytes::new().u32(16 + input.u32() % 512).u32(0);
                plain(
                    command::DEVICE_GET_REGION_IO_FDS,
                    fields.u32(input.u32() % 10).u32(0),
                )
            }
            20 => plain(command::DEVICE_RESET, Bytes::new()),
            21 | 22 => (command::DEVICE_FEATURE, feature(input), Takes::Fds),
            23 => {
                let count = input.below(4);
                let mut payload = Bytes::new().u64(count as u64);
                for _ in 0..count {
                    let access = self.access(input).u32(input.pick(&[4, 1, 2, 8, 9]));
                    payload = payload.bytes(&access).bytes(&padded(input, 8));
                }
                plain(command::REGION_WRITE_MULTI, payload)
            }
            24 => {
                let payload = Bytes::new()
                    .u64(input.pick(&NUMBERS))
                    .u64(input.pick(&NUMBERS));
                let reply = input.pick(&[command::DMA_READ, command::DMA_WRITE]);
                plain(reply, payload)
            }
            25 => plain(
                command::VERSION,
                Bytes::new().u16(input.u16() % 2).u16(input.u16() % 4),
            ),
            26 => plain(input.u16() % 24, Bytes::new().bytes(input.bytes(40))),
            // The copy engine of the test device, which others do not have.
            27 => {
                let offset = input.pick(&[0x20, 0x28, 0x30, 0x34, 0x38]);
                let access = Bytes::new().u64(offset).u32(0).u32(4);
                plain(
                    command::REGION_WRITE,
                    access.u32(input.pick(&NUMBERS) as u32),
                )
            }
            _ => {
                let len = input.u8().into();
                let command = input.u16() % 24;
                (command, Bytes::new().bytes(input.bytes(len)), Takes::Fds)
            }
        }
    }

    /// Returns offset and region.
    fn access(&self, input: &mut Input<'_>) -> Bytes {
        let region = match input.below(16) {
            0..=7 => region::CONFIG,
            other => other as u32 - 8,
        };
        let offset = match input.below(8) {
            0..=4 => u64::from(input.u8()),
            5 => u64::from(input.u16()),
            6 => self.pmcsr,
            _ => input.pick(&NUMBERS),
        };
        Bytes::new().u64(offset).u32(region)
    }
}

/// The descriptors that a message may carry.
enum Takes {
    Fds,
    None,
}

fn padded(input: &mut Input<'_>, len: usize) -> Vec<u8> {
    let mut data = input.bytes(len).to_vec();
    data.resize(len, 0);
    data
}

fn irqs(input: &mut Input<'_>) -> Bytes {
    let data = input.pick(&[
        set_irqs::DATA_EVENTFD,
        set_irqs::DATA_NONE,
        set_irqs::DATA_BOOL,
        7,
    ]);
    let action = input.pick(&[
        set_irqs::ACTION_TRIGGER,
        set_irqs::ACTION_MASK,
        set_irqs::ACTION_UNMASK,
        0x38,
    ]);
    let index = u32::from(input.u8()) % (irq::PME + 2);
    let start = input.pick(&[0, 0, 0, 1, 7, 15, u32::MAX]);
    let count = input.pick(&[1, 0, 2, 3, 16, u32::MAX]);
    let fields = Bytes::new()
        .u32(20)
        .u32(data | action)
        .u32(index)
        .u32(start)
        .u32(count);
    if data == set_irqs::DATA_BOOL {
        fields.bytes(&padded(input, count.min(16) as usize))
    } else {
        fields
    }
}

fn map(input: &mut Input<'_>) -> Bytes {
    let rights = input.pick(&[
        dma_map::READ | dma_map::WRITE,
        dma_map::READ,
        dma_map::MMAP | dma_map::READ,
        dma_map::FILE_IO | dma_map::READ | dma_map::WRITE,
        0,
        0xff,
    ]);
    let offset = input.pick(&NUMBERS);
    let address = input.pick(&NUMBERS);
    Bytes::new()
        .u32(32)
        .u32(rights)
        .u64(offset)
        .u64(address)
        .u64(input.pick(&NUMBERS))
}

fn unmap(input: &mut Input<'_>) -> Bytes {
    let flags = input.pick(&[0, wire::UNMAP_ALL, 1, 3]);
    let fields = Bytes::new().u32(24 + input.u32() % 64).u32(flags);
    let fields = fields.u64(input.pick(&NUMBERS)).u64(input.pick(&NUMBERS));
    if flags == 1 {
        fields.u64(input.pick(&NUMBERS)).u64(input.pick(&NUMBERS))
    } else {
        fields
    }
}

fn feature(input: &mut Input<'_>) -> Bytes {
    let operation = input.pick(&[
        device_feature::SET,
        device_feature::GET,
        device_feature::PROBE,
        device_feature::SET | device_feature::PROBE,
    ]);
    let number = u32::from(input.u8() % 14);
    let len = input.pick(&[0, 4, 8, 16, 24, 40]);
    let data = padded(input, len);
    Bytes::new()
        .u32(8 + len as u32)
        .u32(operation | number)
        .bytes(&data)
}

/// Returns the offset of PMCSR.
fn pmcsr(config: &[u8]) -> u64 {
    let mut at = usize::from(config.get(0x34).copied().unwrap_or(0));
    for _ in 0..48 {
        match config.get(at..at + 2) {
            Some([1, _]) => return at as u64 + 4,
            Some([_, next]) if *next != 0 => at = usize::from(*next),
            _ => break,
        }
    }
    0
}
