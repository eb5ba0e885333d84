//! Playing a session to a server on this thread.

use std::fs;
use std::io::{Read, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Once;
use std::time::Duration;

use dormouse::clock::Clock;
use dormouse::{Endpoint, PollMode, ServedFunction, ServedSlot, Server, Settings};
use pci_device_models::host::DeviceRef;
use serde_json::Value;
use vfio_user_protocol::Command;

use super::owed::{Owed, Reply, is_one_message, is_servers};
use super::script::{CLIENTS, Kind, Script, Step};
use crate::fuzz::subject::{self, Subject, seen, usage};
use crate::os::{Event, Memory};
use crate::raw::wire::{self, HEADER, field_u16, field_u32, flag};
use crate::raw::{receive_now, send_now};

/// Maximum number of turns, after which the server is considered to be in an endless loop. A chain
/// of ioat's has up to 65 535 descriptors, each of which takes several turns.
const MOST_TURNS: usize = 1_000_000;
/// Turns in a row after which the clients receive even if the server has more to do.
const TURNS_UNHEARD: usize = 16;
const MEMORY: u64 = 0x1_0000;

/// The observations of a session.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bytes received over each connection, in the order of the connections, and the number of
    /// descriptors.
    pub(super) conversations: Vec<(Vec<u8>, usize)>,
    /// Lines received over the control socket.
    pub(super) lines: Vec<u8>,
    /// Number of signals of each eventfd.
    pub(super) signals: [u64; 2],
    /// Visible state of the device at the end.
    pub(super) device: subject::Seen,
    /// Saved state of the device, if it is compared.
    pub(super) saved: Option<Value>,
    /// The device has used client memory.
    pub(super) transfers: bool,
}

/// A client on its connection.
struct Client {
    stream: UnixStream,
    sent: Vec<u8>,
    came: Vec<u8>,
    /// Offset of the next message in the received bytes.
    looked: usize,
    /// Answers to the server's commands, to be sent when no message of the client is half sent.
    answers: Vec<u8>,
    fds: Vec<OwnedFd>,
    ended: bool,
    /// Number of clients that had been turned away when this one came.
    turned_away: u64,
}

thread_local! {
    static TOOLS: Tools = Tools::new();
}

/// Resources that all sessions of a thread use in turn.
struct Tools {
    clients: (UnixListener, SocketAddr),
    control: (UnixListener, SocketAddr),
    events: [Event; 2],
    memory: Memory,
    sealed: Memory,
    null: fs::File,
}

impl Tools {
    fn new() -> Self {
        let listen = |kind: &str| {
            let id = std::thread::current().id();
            let name = format!("dormouse-fuzz-{}-{id:?}-{kind}", std::process::id());
            let address = SocketAddr::from_abstract_name(name).expect("a name");
            let listener = UnixListener::bind_addr(&address).expect("a socket");
            listener.set_nonblocking(true).expect("a socket");
            (listener, address)
        };
        Self {
            clients: listen("clients"),
            control: listen("control"),
            events: [(); 2].map(|()| Event::new().expect("an eventfd")),
            memory: Memory::new(MEMORY).expect("memory"),
            sealed: Memory::sealed(MEMORY).expect("memory"),
            null: fs::File::open("/dev/null").expect("a file"),
        }
    }

    fn fd(&self, kind: Kind) -> BorrowedFd<'_> {
        match kind {
            Kind::Event(which) => self.events[which].as_fd(),
            Kind::Memory => self.memory.as_fd(),
            Kind::Sealed => self.sealed.as_fd(),
            Kind::Null => self.null.as_fd(),
        }
    }
}

/// A server with its clients.
pub(super) struct Play {
    server: Server,
    clients: [Option<Client>; CLIENTS],
    control: Option<UnixStream>,
    seen: Seen,
    /// The answers to the server's commands, two bits for each in turn.
    answers: u8,
    /// The device is saved at the end.
    thorough: bool,
    /// Numbers of open descriptors before the server and before its first client.
    fds: [u64; 2],
    /// Usage count of the unopened device.
    unused: u64,
    /// Buffer for received bytes.
    space: Vec<u8>,
}

impl Play {
    /// Creates a server for the function of that number.
    pub(super) fn new(number: usize, answers: u8, thorough: bool) -> Self {
        TOOLS.with(|_| ());
        SERVERS.call_once(|| drop(Server::new(Settings::default()).expect("a server")));
        let before = open_descriptors();
        let mut settings = Settings::default();
        settings.poll = PollMode::Off;
        settings.clock = Clock::manual();
        let mut server = Server::new(settings).expect("a server");
        let slot = Subject::numbered(number, |subject| {
            let listener = |of: fn(&Tools) -> &UnixListener| {
                TOOLS.with(|tools| of(tools).try_clone().expect("a descriptor"))
            };
            let endpoint = Endpoint::Listener(listener(|tools| &tools.clients.0));
            let function = ServedFunction::new("fuzzed", endpoint)
                .with_client_memory(subject.profile.client_memory())
                .with_control(listener(|tools| &tools.control.0));
            ServedSlot::new(subject.devices()).with_function(function)
        });
        let unused = u64::from(
            slot.devices
                .first()
                .status(Clock::manual().now())
                .runtime_usage,
        );
        server.add(slot).expect("a function");
        Self {
            server,
            clients: [None, None],
            control: None,
            seen: Seen::default(),
            answers,
            thorough,
            fds: [before, open_descriptors()],
            unused,
            space: vec![0; 16 * 1024],
        }
    }

    /// Plays the whole script: messages of one client without descriptors in one send, or
    /// everything in pieces of these sizes.
    pub(super) fn run(mut self, script: &Script, pieces: Option<Vec<usize>>) -> Seen {
        let mut sizes = pieces.as_ref().map(|sizes| sizes.iter().copied().cycle());
        let mut together: Option<(usize, Vec<u8>)> = None;
        for step in &script.steps {
            if let Step::Send { client, bytes, fds } = step
                && let Some(sizes) = &mut sizes
            {
                self.send_in_pieces(*client, bytes, fds, sizes);
                continue;
            }
            match step {
                Step::Send { client, bytes, fds } if fds.is_empty() => match &mut together {
                    Some((of, waiting)) if of == client => waiting.extend_from_slice(bytes),
                    _ => {
                        self.send_together(&mut together);
                        together = Some((*client, bytes.clone()));
                    }
                },
                Step::Send { client, bytes, fds } => {
                    self.send_together(&mut together);
                    self.send(*client, bytes, fds);
                    self.answer(*client);
                }
                Step::Line(line) => {
                    self.send_together(&mut together);
                    self.say(line);
                }
                Step::Leave(client) => {
                    self.send_together(&mut together);
                    self.leave(*client);
                }
            }
        }
        self.send_together(&mut together);
        self.end()
    }

    fn send_together(&mut self, together: &mut Option<(usize, Vec<u8>)>) {
        if let Some((client, bytes)) = together.take() {
            self.send(client, &bytes, &[]);
            self.answer(client);
        }
    }

    fn send_in_pieces(
        &mut self,
        client: usize,
        bytes: &[u8],
        fds: &[Kind],
        sizes: &mut impl Iterator<Item = usize>,
    ) {
        let (mut rest, mut fds) = (bytes, fds);
        let sent = self.clients[client]
            .as_ref()
            .map_or(&[][..], |client| &client.sent);
        // Nobody can tell which of several messages in one send its descriptors belong to.
        let together = !fds.is_empty() && !is_one_message(sent, bytes);
        loop {
            let size = sizes.next().unwrap_or(1);
            let size = if together {
                rest.len()
            } else {
                size.min(rest.len())
            };
            let (piece, after) = rest.split_at(size);
            self.send(client, piece, mem::take(&mut fds));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        self.answer(client);
    }

    /// Sends bytes and waits until the server has handled them.
    fn send(&mut self, number: usize, bytes: &[u8], fds: &[Kind]) {
        if self.clients[number].is_none() {
            let turned_away = self.turned_away();
            self.clients[number] = Some(Client::connect(turned_away));
            self.settle();
        }
        let mut sent = 0;
        while let Some(client) = self.clients[number].as_mut()
            && !client.ended
            && sent < bytes.len()
        {
            let carried = if sent == 0 { fds } else { &[] };
            match client.send(&bytes[sent..], carried) {
                Some(count) => sent += count,
                None => client.ended = true,
            }
            self.settle();
        }
    }

    /// Sends the answers to the server's commands, and to those that follow.
    fn answer(&mut self, number: usize) {
        for _ in 0..16 {
            let answers = self.clients[number]
                .as_mut()
                .map(|client| mem::take(&mut client.answers));
            match answers {
                Some(answers) if !answers.is_empty() => self.send(number, &answers, &[]),
                _ => return,
            }
        }
    }

    fn say(&mut self, line: &str) {
        let control = self.control.get_or_insert_with(|| {
            let stream = TOOLS.with(|tools| UnixStream::connect_addr(&tools.control.1));
            let stream = stream.expect("the control socket takes connections");
            stream.set_nonblocking(true).expect("a socket");
            stream
        });
        let line = format!("{line}\n");
        control
            .write_all(line.as_bytes())
            .expect("there is room for a line");
        self.settle();
    }

    fn leave(&mut self, number: usize) {
        let Some(client) = self.clients[number].take() else {
            return;
        };
        let turned_away = self.turned_away();
        self.seen.conversations.push(client.leave(turned_away));
        self.settle();
    }

    /// Returns the number of clients that the device had no room or no power for.
    fn turned_away(&self) -> u64 {
        let function = self.server.functions().next();
        function.expect("one function").1.refused
    }

    /// Lets the server do all its work, and takes the bytes that it sends.
    fn settle(&mut self) {
        for turn in 1..=MOST_TURNS {
            let busy = self.server.turn(Duration::ZERO).expect("a turn");
            if busy && turn % TURNS_UNHEARD != 0 {
                continue;
            }
            // With room in its sockets again, the server may have more to send.
            let heard = self.hear();
            if !busy && !heard {
                return;
            }
        }
        panic!("the server does not come to rest");
    }

    /// Returns whether something was received.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        for client in self.clients.iter_mut().flatten() {
            heard |= client.hear(&mut self.answers, &mut self.space);
        }
        if let Some(control) = &mut self.control {
            while let Ok(count @ 1..) = control.read(&mut self.space) {
                self.seen.lines.extend_from_slice(&self.space[..count]);
                heard = true;
            }
        }
        heard
    }

    fn look<R>(&self, with: impl FnOnce(DeviceRef<'_>) -> R) -> R {
        let mut functions = self.server.functions();
        with(functions.next().expect("one function").0)
    }

    /// Disconnects all clients, and checks that nothing is left over.
    fn end(mut self) -> Seen {
        for client in 0..CLIENTS {
            self.answer(client);
            self.leave(client);
        }
        let now = Clock::manual().now();
        self.seen.device = self.look(|device| seen(device, now));
        self.seen.saved = self.thorough.then(|| self.look(|device| device.save(now)));
        let (status, ..) = &self.seen.device;
        let kept = u64::from(status["control"] == "on");
        assert_eq!(usage(status), self.unused + kept, "references");
        if let Some(control) = self.control.take() {
            drop(control);
            self.settle();
        }
        let (_, stats) = self.server.functions().next().expect("one function");
        assert!(!stats.connected);
        assert!(stats.replies <= stats.requests + stats.messages_invalid);
        self.seen.transfers = stats.dma_transfers + stats.dma_commands > 0;
        assert_eq!(
            open_descriptors(),
            self.fds[1],
            "descriptors with the server"
        );
        drop(self.server);
        assert_eq!(
            open_descriptors(),
            self.fds[0],
            "descriptors after the server"
        );
        TOOLS.with(|tools| {
            for (signals, event) in self.seen.signals.iter_mut().zip(&tools.events) {
                *signals = event.take().expect("an eventfd");
            }
            if self.seen.transfers {
                for memory in [&tools.memory, &tools.sealed] {
                    memory.write(0, &[0; MEMORY as usize]).expect("memory");
                }
            }
        });
        self.seen
    }
}

impl Client {
    fn connect(turned_away: u64) -> Self {
        let stream = TOOLS.with(|tools| UnixStream::connect_addr(&tools.clients.1));
        let stream = stream.expect("the server takes connections");
        Self {
            stream,
            sent: Vec::new(),
            came: Vec::new(),
            looked: 0,
            answers: Vec::new(),
            fds: Vec::new(),
            ended: false,
            turned_away,
        }
    }

    /// Sends as much as there is room for. Returns `None` if the server has closed the connection.
    fn send(&mut self, bytes: &[u8], fds: &[Kind]) -> Option<usize> {
        let sent = TOOLS.with(|tools| {
            let fds: Vec<_> = fds.iter().map(|kind| tools.fd(*kind)).collect();
            send_now(self.stream.as_fd(), bytes, &fds)
        });
        let count = sent.ok()?;
        self.sent.extend_from_slice(&bytes[..count]);
        Some(count)
    }

    /// Receives the available bytes. Returns whether there were some.
    fn hear(&mut self, policy: &mut u8, space: &mut [u8]) -> bool {
        let before = self.came.len();
        while !self.ended {
            match receive_now(self.stream.as_fd(), space, &mut self.fds) {
                Ok(Some(0)) | Err(_) => self.ended = true,
                Ok(Some(count)) => self.came.extend_from_slice(&space[..count]),
                Ok(None) => break,
            }
        }
        if self.came.len() == before {
            return false;
        }
        self.look(policy);
        true
    }

    /// Handles the received whole messages, and prepares answers to commands.
    fn look(&mut self, policy: &mut u8) {
        while let Some(message) = self.came.get(self.looked..)
            && message.len() >= HEADER
        {
            let size = field_u32(message, 4) as usize;
            assert!(size >= HEADER, "a message of {size} bytes");
            let Some(message) = message.get(..size) else {
                return;
            };
            if field_u32(message, 8) & flag::TYPE == flag::COMMAND {
                let (id, command) = (field_u16(message, 0), field_u16(message, 2));
                assert!(is_servers(command), "the server sends command {command}");
                let fixed = &message[HEADER..HEADER + 16];
                let count = wire::field_u64(fixed, 8).min(1 << 20) as usize;
                let data = vec![
                    0x5a;
                    if command == wire::command::DMA_READ {
                        count
                    } else {
                        0
                    }
                ];
                let (flags, payload) = match *policy & 3 {
                    0 => (flag::REPLY, [fixed, &data[..]].concat()),
                    1 => (flag::REPLY | flag::ERROR, Vec::new()),
                    2 => (flag::REPLY, fixed[..8].to_vec()),
                    _ => (
                        flag::REPLY,
                        [fixed, &data[..count.min(data.len()) / 2]].concat(),
                    ),
                };
                *policy = policy.rotate_right(2);
                self.answers
                    .extend(wire::message(id, command, flags, &payload));
            }
            self.looked += size;
        }
    }

    /// Disconnects, and checks the received replies. `turned_away` is the number of clients that have
    /// been turned away.
    fn leave(self, turned_away: u64) -> (Vec<u8>, usize) {
        let mut replies = Vec::new();
        let mut rest = &self.came[..];
        while !rest.is_empty() {
            let size = field_u32(rest, 4) as usize;
            assert!(size <= rest.len(), "a reply that is cut short");
            if field_u32(rest, 8) & flag::TYPE == flag::REPLY {
                let failed = field_u32(rest, 8) & flag::ERROR != 0;
                assert!(!failed || size == HEADER, "an error reply has a payload");
                replies.push(Reply {
                    id: field_u16(rest, 0),
                    command: field_u16(rest, 2),
                    failed,
                });
            }
            rest = &rest[size..];
        }
        if let Some(owed) = Owed::of(&self.sent, &replies) {
            // A client that the device has no room or no power for learns just that, if it asks.
            let refused = turned_away > self.turned_away
                && match &replies[..] {
                    [] => self.ended,
                    [only] => only.failed && only.command == Command::Version.number(),
                    _ => false,
                };
            let replies: Vec<_> = replies
                .iter()
                .map(|reply| (reply.id, reply.command))
                .collect();
            assert!(
                refused || (&replies, self.ended) == (&owed.replies, owed.ends),
                "{replies:?} came, {} ended the connection; {owed:?}",
                if self.ended { "the server" } else { "nobody" }
            );
        }
        (self.came, self.fds.len())
    }
}

/// The first server of a process opens what all of them share.
static SERVERS: Once = Once::new();

/// Returns the number of this process's open descriptors. The folder's size is their number (since
/// Linux 6.2).
fn open_descriptors() -> u64 {
    let folder = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if folder > 0 {
        return folder;
    }
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}
