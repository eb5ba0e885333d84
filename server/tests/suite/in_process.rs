//! The whole server in this process, spoken to byte by byte.

mod client;
mod controller;
mod interrupts;
mod lifetime;
mod low_power;
mod memory;
mod rail;
mod requests;
mod sharing;
mod unserved;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use dormouse::clock::Clock;
use dormouse::{
    ClientMemory, Endpoint, Handle, PollMode, ServedFunction, ServedSlot, Server, ServerError,
    Settings,
};
use pci_device_models::host::DeviceSet;
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use serde_json::{Value, json};
use tempfile::TempDir;

use client::Client;

/// A server of the built-in test device that runs in a thread of its own.
struct Running {
    folder: TempDir,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

fn testdev() -> DeviceSet {
    testdev_with(&[])
}

/// The test device with entries of its profile overridden, `KEY=VALUE` each.
fn testdev_with(set: &[&str]) -> DeviceSet {
    let set: Vec<_> = set
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.device_set(&Registry::builtin()).unwrap()
}

impl Running {
    fn new() -> Self {
        Self::with(Settings::default(), ClientMemory::FileIo)
    }

    fn with(settings: Settings, client_memory: ClientMemory) -> Self {
        Self::serve(testdev(), settings, client_memory)
    }

    /// A device of its own profile, with a clock that stands still.
    fn testdev(set: &[&str]) -> Self {
        let mut settings = Settings::default();
        settings.clock = Clock::manual();
        Self::serve(testdev_with(set), settings, ClientMemory::FileIo)
    }

    fn serve(devices: DeviceSet, settings: Settings, client_memory: ClientMemory) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = |name| UnixListener::bind(folder.path().join(name)).unwrap();
        let mut server = Server::new(settings).unwrap();
        let function = ServedFunction::new("testdev", Endpoint::Listener(listen("socket")))
            .with_client_memory(client_memory)
            .with_control(listen("control"));
        let mut slot = ServedSlot::new(devices).with_function(function);
        slot.rail = Some(listen("rail"));
        server.add(slot).unwrap();
        Self {
            folder,
            handle: server.handle(),
            thread: Some(std::thread::spawn(move || server.run())),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path("socket")).unwrap()
    }

    /// A client that has agreed on a version.
    fn client(&self) -> Client {
        let mut client = Client::new(self.connect());
        client.negotiate();
        client
    }

    fn control(&self) -> Control {
        let stream = UnixStream::connect(self.path("control")).unwrap();
        Control(BufReader::new(stream))
    }

    /// Waits for the server to end by itself.
    fn join(mut self) {
        let thread = self.thread.take().unwrap();
        thread.join().unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(std::thread::panicking() || matches!(result, Ok(Ok(()))));
        }
    }
}

/// A control client.
struct Control(BufReader<UnixStream>);

impl Control {
    fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line, `Null` at the end of the stream.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        // A reset is how the system tells of a stream that was closed with bytes still in it.
        let _ = self.0.read_line(&mut line);
        serde_json::from_str(&line).unwrap_or_default()
    }

    fn ask(&mut self, verb: &str) -> Value {
        self.write(&format!("{{\"verb\":\"{verb}\"}}\n"));
        let reply = self.line();
        assert!(reply["error"].is_null(), "{reply}");
        reply["ok"].clone()
    }

    /// A value of the status.
    fn status(&mut self, key: &str) -> Value {
        self.ask("status")[key].clone()
    }

    /// Lets time pass.
    fn advance(&mut self, duration: &str) {
        let line = json!({ "verb": "clock", "action": "advance", "duration": duration });
        self.write(&format!("{line}\n"));
        let reply = self.line();
        assert!(reply["error"].is_null(), "{reply}");
    }
}
