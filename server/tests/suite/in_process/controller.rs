//! The platform controller beside the slots that it serves.

use std::os::fd::OwnedFd;

use dormouse::models::model::controller::slot_key;
use dormouse::models::time::Time;
use dormouse::{ServedController, state_file};
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

/// The served names: those of the slots, and the controller.
const NAMES: [&str; 3] = ["first", "second", "controller"];

impl Platform {
    fn with(set: &[&str]) -> Self {
        Self::restored(set, None)
    }

    /// Starts from the files that [`Self::save`] wrote into a folder.
    fn restored(set: &[&str], states: Option<&TempDir>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = |name: &str| UnixListener::bind(folder.path().join(name)).unwrap();
        let mut settings = Settings::default();
        settings.clock = Clock::manual();
        let mut server = Server::new(settings).unwrap();
        let [slots @ .., controller] = NAMES;
        for name in slots {
            let function = ServedFunction::new(name, Endpoint::Listener(listen(name)))
                .with_control(listen(&format!("{name}.ctl")));
            let mut devices = testdev_with(set);
            if let Some(states) = states {
                let file = states.path().join(name);
                state_file::restore(&mut devices.first_mut(), Time::ZERO, &file).unwrap();
            }
            let slot = ServedSlot::new(devices).with_function(function);
            server.add(slot).unwrap();
        }
        let endpoint = Endpoint::Listener(listen(controller));
        let control = listen("controller.ctl");
        let mut controller = ServedController::new(endpoint).with_control(control);
        if let Some(states) = states {
            controller = controller.with_restore(states.path().join(NAMES[2]));
        }
        server.add_controller(controller).unwrap();
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

    /// Saves all slots and the controller into a folder.
    fn save(&self) -> TempDir {
        let states = tempfile::tempdir().unwrap();
        for name in NAMES {
            self.state("save", &states, name);
        }
        states
    }

    /// Saves or restores what has this name.
    fn state(&self, verb: &str, states: &TempDir, name: &str) {
        let file = states.path().join(name).display().to_string();
        let mut control = self.control(name);
        control.write(&format!("{{\"verb\":\"{verb}\",\"file\":\"{file}\"}}\n"));
        assert!(control.line()["error"].is_null(), "{verb} {name}");
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

/// Leaves one slot with its power off and a recorded wake event, and the other one not enabled.
fn trouble(platform: &Platform) -> [Client; 2] {
    let mut controller = platform.client("controller");
    let mut function = platform.client("second");
    arm(&mut function);
    controller.set_register(SLOT, slot_key("first"));
    controller.set_register(WAKE_ENABLE, 0xfe);
    controller.set_register(SLOT, slot_key("second"));
    controller.set_register(RAIL, 0);
    platform.control("second").ask("pme");
    assert_eq!(controller.register(WAKE), 1);
    [controller, function]
}

/// Checks that a platform is as [`trouble`] left it.
fn is_in_trouble(platform: &Platform) {
    let mut controller = platform.client("controller");
    assert_eq!(controller.register(SLOT), slot_key("second"));
    assert_eq!(controller.register(RAIL), 0);
    assert_eq!(controller.register(WOKEN), slot_key("second"));
    assert_eq!(controller.register(WAKE), 1);
    assert_eq!(platform.control("second").status("power_state"), "D3cold");
    assert_eq!(platform.control("first").status("power_state"), "D0");
    let asserted = platform.control("controller").status("irqs")["intx_level"].take();
    assert_eq!(asserted, true, "the guest still has to serve it");
    controller.set_register(WAKE, 1);
    let asserted = platform.control("controller").status("irqs")["intx_level"].take();
    assert_eq!(asserted, false);
    controller.set_register(RAIL, 1);
    assert_eq!(platform.control("second").status("power_state"), "D0");
    controller.set_register(SLOT, slot_key("first"));
    assert_eq!(controller.register(WAKE_ENABLE), 0xfe);
}

#[test]
fn a_platform_that_is_saved_and_started_again_is_as_it_was() {
    let platform = Platform::with(&[]);
    // Its clients are there, as at a suspend of the machine.
    let clients = trouble(&platform);
    let states = platform.save();
    drop((clients, platform));
    is_in_trouble(&Platform::restored(&[], Some(&states)));
}

#[test]
fn a_running_platform_is_restored_in_any_order() {
    let platform = Platform::with(&[]);
    let _clients = trouble(&platform);
    let states = platform.save();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let platform = Platform::with(&[]);
        for at in order {
            platform.state("restore", &states, NAMES[at]);
        }
        is_in_trouble(&platform);
    }
}

#[test]
fn the_controller_learns_of_a_slot_that_is_restored_alone() {
    let platform = Platform::with(&[]);
    let mut controller = platform.client("controller");
    controller.set_register(SLOT, slot_key("second"));
    controller.set_register(RAIL, 0);
    let states = platform.save();
    controller.set_register(RAIL, 1);
    platform.state("restore", &states, "second");
    assert_eq!(controller.register(RAIL), 0);
    assert_eq!(platform.control("second").status("power_state"), "D3cold");
}

#[test]
fn a_slot_that_starts_without_power_is_shown_so() {
    let platform = Platform::with(&[]);
    platform
        .control("first")
        .write("{\"verb\":\"rail\",\"state\":\"off\"}\n");
    let states = tempfile::tempdir().unwrap();
    for name in ["first", "second"] {
        platform.state("save", &states, name);
    }
    let mut server = Server::new(Settings::default()).unwrap();
    let mut devices = testdev();
    let file = states.path().join("first");
    state_file::restore(&mut devices.first_mut(), Time::ZERO, &file).unwrap();
    let (_client, connected) = UnixStream::pair().unwrap();
    let function = ServedFunction::new("first", Endpoint::Connected(connected));
    server
        .add(ServedSlot::new(devices).with_function(function))
        .unwrap();
    let (client, connected) = UnixStream::pair().unwrap();
    server
        .add_controller(Endpoint::Connected(connected))
        .unwrap();
    let handle = server.handle();
    let thread = std::thread::spawn(move || server.run());
    let mut controller = Client::new(client);
    controller.negotiate();
    controller.enable();
    controller.set_register(SLOT, slot_key("first"));
    assert_eq!(controller.register(RAIL), 0);
    handle.shutdown();
    thread.join().unwrap().unwrap();
}
