//! The platform controller beside the slots that it serves.

use std::os::fd::OwnedFd;

use dormouse::models::model::controller::slot_key;
use rustix::event::{EventfdFlags, eventfd};

use super::client::{CONFIG, words};
use super::*;

const WOKEN: u64 = 0x08;
const SLOT: u64 = 0x10;
const RAIL: u64 = 0x14;
const WAKE: u64 = 0x18;
const WAKE_ENABLE: u64 = 0x1c;
/// SET_IRQS: eventfds, trigger.
const TRIGGER: u32 = 0x24;

/// A server of two slots, `first` and `second`, with their controller.
struct Platform {
    folder: TempDir,
    handle: Handle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Platform {
    fn with(set: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = |name: &str| UnixListener::bind(folder.path().join(name)).unwrap();
        let mut settings = Settings::default();
        settings.clock = Clock::manual();
        let mut server = Server::new(settings).unwrap();
        for name in ["first", "second"] {
            let function = ServedFunction::new(name, Endpoint::Listener(listen(name)))
                .with_control(listen(&format!("{name}.ctl")));
            let slot = ServedSlot::new(testdev_with(set)).with_function(function);
            server.add(slot).unwrap();
        }
        let endpoint = Endpoint::Listener(listen("controller"));
        server.add_controller(endpoint).unwrap();
        Self {
            handle: server.handle(),
            folder,
            thread: Some(std::thread::spawn(move || server.run())),
        }
    }

    fn client(&self, name: &str) -> Client {
        let stream = UnixStream::connect(self.folder.path().join(name)).unwrap();
        let mut client = Client::new(stream);
        client.negotiate();
        client.enable();
        client
    }

    fn control(&self, name: &str) -> Control {
        let path = self.folder.path().join(format!("{name}.ctl"));
        Control(BufReader::new(UnixStream::connect(path).unwrap()))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.handle.shutdown();
        let result = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(result, Some(Ok(Ok(())))));
    }
}

/// Has INTx signal an eventfd that is not blocking.
fn intx(client: &mut Client) -> OwnedFd {
    let fd = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    client.set_irqs(TRIGGER, 0, (0, 1), &[&fd]).unwrap();
    fd
}

/// Returns how often an eventfd was signalled since the last call.
fn signals(fd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(fd, &mut count) {
        Ok(_) => u64::from_ne_bytes(count),
        Err(_) => 0,
    }
}

/// Puts the function into D3hot with PME enabled.
fn arm(client: &mut Client) {
    client.write(CONFIG, 0x44, &[0x03, 0x81]).unwrap();
}

#[test]
fn a_register_switches_the_power_of_its_slot_alone() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    let (mut first, mut second) = (platform.client("first"), platform.client("second"));
    controller.set_register(SLOT, slot_key("second"));
    assert_eq!(controller.register(RAIL), 1);
    controller.set_register(RAIL, 0);
    // The switch is performed before the next request of anybody.
    assert_eq!(second.read(CONFIG, 0, 2).unwrap(), [0xff; 2]);
    assert_eq!(first.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
    assert_eq!(controller.register(RAIL), 0);
    assert_eq!(platform.control("second").status("power_state"), "D3cold");
    controller.set_register(RAIL, 1);
    assert_eq!(second.read(CONFIG, 0, 2).unwrap(), [0x34, 0x12]);
    // The verb moves the same rail.
    let mut control = platform.control("second");
    control.write("{\"verb\":\"rail\",\"state\":\"off\"}\n");
    assert!(control.line()["error"].is_null());
    assert_eq!(controller.register(RAIL), 0);
}

#[test]
fn off_and_on_in_one_batch_is_a_power_cycle() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    let mut control = platform.control("first");
    let before = control.status("counters")["resets"].as_u64().unwrap();
    controller.set_register(SLOT, slot_key("first"));
    for value in [0_u32, 1] {
        let access = [
            super::client::access(0, RAIL, 4),
            value.to_le_bytes().to_vec(),
        ]
        .concat();
        controller.send(10, 0, &access, &[]);
    }
    controller.receive_earlier(1).unwrap();
    controller.receive().unwrap();
    assert_eq!(control.status("counters")["resets"], before + 1);
    assert_eq!(control.status("rail"), true);
}

#[test]
fn a_wake_event_without_power_interrupts_once_and_is_recorded() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    let interrupt = intx(&mut controller);
    let mut function = platform.client("second");
    arm(&mut function);
    controller.set_register(SLOT, slot_key("second"));
    controller.set_register(RAIL, 0);
    assert_eq!((controller.register(WOKEN), signals(&interrupt)), (0, 0));
    platform.control("second").ask("pme");
    assert_eq!(controller.register(WOKEN), slot_key("second"));
    assert_eq!(controller.register(WAKE), 1);
    assert_eq!(signals(&interrupt), 1);
    controller.set_register(WAKE, 1);
    assert_eq!(controller.register(WOKEN), 0);
    assert_eq!(signals(&interrupt), 0);
}

#[test]
fn a_wake_event_in_d3hot_interrupts_if_the_function_is_enabled() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    let interrupt = intx(&mut controller);
    let mut function = platform.client("first");
    controller.set_register(SLOT, slot_key("first"));
    for (enabled, expected) in [(0xfe, 0), (0xff, 1)] {
        controller.set_register(WAKE_ENABLE, enabled);
        arm(&mut function);
        platform.control("first").ask("pme");
        assert_eq!(controller.register(WAKE), expected);
        assert_eq!(signals(&interrupt), u64::from(expected));
    }
}

#[test]
fn without_auxiliary_power_nobody_hears_of_a_wake_event() {
    let platform = Platform::with(&["platform.aux-power=false"]);
    let mut controller = platform.client("controller");
    let mut function = platform.client("first");
    arm(&mut function);
    controller.set_register(SLOT, slot_key("first"));
    controller.set_register(RAIL, 0);
    platform.control("first").ask("pme");
    assert_eq!(controller.register(WOKEN), 0);
}

#[test]
fn low_power_of_the_guest_ends_with_a_notice_and_not_with_its_own_switch() {
    let platform = Platform::with(&["platform.rail-as=low-power"]);
    let mut controller = platform.client("controller");
    let interrupt = intx(&mut controller);
    let _function = platform.client("first");
    let mut control = platform.control("first");
    controller.set_register(SLOT, slot_key("first"));
    for woken in [false, true] {
        controller.set_register(RAIL, 0);
        assert_eq!(control.status("engaged"), true);
        assert_eq!(control.status("power_state"), "D3cold");
        assert_eq!(controller.register(RAIL), 0);
        if woken {
            let answer = control.ask("host-access");
            assert_eq!(answer["vendor_id"], 0x1234);
            assert_eq!(control.status("power_state"), "D0", "it stays awake");
        }
        assert_eq!(controller.register(WAKE), u32::from(woken));
        assert_eq!(signals(&interrupt), u64::from(woken));
        controller.set_register(WAKE, 1);
        controller.set_register(RAIL, 1);
        assert_eq!(control.status("engaged"), false);
        assert_eq!(control.status("power_state"), "D0");
        assert_eq!(controller.register(WAKE), 0, "it has asked for that itself");
    }
}

#[test]
fn a_client_that_goes_and_comes_resets_the_platform() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    controller.set_register(SLOT, slot_key("first"));
    controller.set_register(RAIL, 0);
    let mut control = platform.control("first");
    assert_eq!(control.status("rail"), false);
    drop(controller);
    let mut controller = platform.client("controller");
    assert_eq!(control.status("rail"), true);
    assert_eq!(controller.register(SLOT), 0);
    assert_eq!(
        controller.request(vfio_user_protocol::Command::DeviceReset, &[]),
        Ok(words(&[]))
    );
}

#[test]
fn slots_that_cannot_be_told_apart_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listen =
        |name: &str| Endpoint::Listener(UnixListener::bind(folder.path().join(name)).unwrap());
    let mut server = Server::new(Settings::default()).unwrap();
    for name in ["a", "b"] {
        let function = ServedFunction::new(name, listen(name));
        let slot = ServedSlot::new(testdev()).with_name("same");
        server.add(slot.with_function(function)).unwrap();
    }
    let error = server.add_controller(listen("controller")).unwrap_err();
    assert!(error.to_string().contains("'same' and 'same'"), "{error}");
}
