//! Errors of the bus: faults that make a function detect them, and the messages that report them.

use pci_device_models::capability::ErrorSeverity::{self, Correctable, Fatal, NonFatal};
use pci_device_models::effect::{Effect, FunctionEvent};
use pci_device_models::fault::Fault;
use pci_device_models::function::{Function, Target};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;

const COMMAND: u64 = 4;
const BAR0: u64 = 0x10;
const PMCSR: u64 = 0x44;

fn function(set: &[(&str, &str)]) -> Function {
    let set: Vec<_> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let text = Profile::builtin("testdev").unwrap();
    let profile = Profile::parse("testdev", text, &set).unwrap();
    profile.function(&Registry::builtin()).unwrap()
}

fn place(function: &Function, name: &str) -> u64 {
    let mut placed = function.config().capabilities();
    let placed = placed.find(|placed| placed.capability.get().name() == name);
    u64::from(placed.unwrap().offset)
}

fn aer(function: &Function) -> u64 {
    place(function, "advanced-error-reporting")
}

fn read(function: &mut Function, offset: u64) -> u32 {
    let mut data = [0; 4];
    function.config_read(Time::ZERO, offset, &mut data);
    u32::from_le_bytes(data)
}

fn write(function: &mut Function, offset: u64, value: u32) {
    function.config_write(Time::ZERO, offset, &value.to_le_bytes());
}

/// Writes Device Control and leaves Device Status alone.
fn control(function: &mut Function, value: u16) {
    let at = place(function, "pci-express") + 8;
    function.config_write(Time::ZERO, at, &value.to_le_bytes());
}

fn device_status(function: &mut Function) -> u32 {
    let at = place(function, "pci-express") + 8;
    read(function, at) >> 16 & 0xf
}

/// Makes the function detect an error at once.
fn detect(function: &mut Function, what: &str) {
    let fault = Fault::new("now", &format!("aer {what}")).unwrap();
    let name = function.add_fault(Time::ZERO, fault).unwrap();
    function.remove_fault(Time::ZERO, &name).unwrap();
}

/// Takes the messages that the function has sent.
fn messages(function: &mut Function) -> Vec<ErrorSeverity> {
    let effects = std::iter::from_fn(|| function.next_effect());
    let messages = effects.filter_map(|effect| match effect {
        Effect::Event(FunctionEvent::ErrorMessage { severity }) => Some(severity),
        _ => None,
    });
    messages.collect()
}

#[test]
fn an_error_is_reported_if_its_severity_is() {
    for (what, enabled, message) in [
        ("receiver-error", 0x1, Some(Correctable)),
        ("receiver-error", 0xe, None),
        ("completion-timeout", 0x2, Some(NonFatal)),
        ("completion-timeout", 0x5, None),
        ("malformed-tlp", 0x4, Some(Fatal)),
        ("malformed-tlp", 0x3, None),
        // An Unsupported Request needs an enable bit of its own.
        ("unsupported-request", 0x2, None),
        ("unsupported-request", 0xa, Some(NonFatal)),
    ] {
        let mut function = function(&[]);
        control(&mut function, enabled);
        detect(&mut function, what);
        assert_eq!(
            messages(&mut function),
            Vec::from_iter(message),
            "{what}, {enabled:#x}"
        );
        let bit = match what {
            "receiver-error" => 0x1,
            "completion-timeout" => 0x2,
            "malformed-tlp" => 0x4,
            _ => 0xa,
        };
        assert_eq!(device_status(&mut function), bit, "{what}, {enabled:#x}");
    }
}

#[test]
fn serr_enable_reports_what_is_uncorrectable() {
    for (what, message) in [
        ("receiver-error", None),
        ("completion-timeout", Some(NonFatal)),
        ("unsupported-request", Some(NonFatal)),
        ("malformed-tlp", Some(Fatal)),
    ] {
        let mut function = function(&[]);
        control(&mut function, 0);
        write(&mut function, COMMAND, 0x100);
        detect(&mut function, what);
        assert_eq!(messages(&mut function), Vec::from_iter(message), "{what}");
        let signaled = read(&mut function, COMMAND) >> 30 & 1 == 1;
        assert_eq!(signaled, message.is_some(), "{what}: Signaled System Error");
    }
}

#[test]
fn conventional_status_shows_poison_and_abort() {
    for (what, bits) in [
        ("poisoned-tlp", 0x8000),
        ("completer-abort", 0x0800),
        ("completion-timeout", 0),
    ] {
        let mut function = function(&[]);
        detect(&mut function, what);
        assert_eq!(read(&mut function, COMMAND) >> 16 & 0xf900, bits, "{what}");
    }
}

#[test]
fn a_masked_error_is_in_device_status_and_reported_by_no_message() {
    let mut function = function(&[]);
    control(&mut function, 0xf);
    let at = aer(&function);
    write(&mut function, at + 0x08, u32::MAX);
    detect(&mut function, "completion-timeout");
    assert_eq!(messages(&mut function), []);
    assert_eq!(device_status(&mut function), 0x2);
    assert_eq!(read(&mut function, at + 4), 0x4000);
}

#[test]
fn an_advisory_error_is_reported_as_correctable() {
    let mut function = function(&[]);
    control(&mut function, 0xf);
    let at = aer(&function);
    detect(&mut function, "completer-abort advisory");
    assert_eq!(messages(&mut function), [], "masked after a reset");
    assert_eq!(device_status(&mut function), 0x1);
    write(&mut function, at + 0x14, 0);
    detect(&mut function, "completer-abort advisory header 1 2 3 0x4");
    assert_eq!(messages(&mut function), [Correctable]);
    assert_eq!(read(&mut function, at + 4), 0x8000);
    assert_eq!(read(&mut function, at + 0x28), 4);
    write(&mut function, at + 4, u32::MAX);
    // The word means nothing if the severity is fatal.
    write(&mut function, at + 0xc, 0x8000);
    detect(&mut function, "completer-abort advisory");
    assert_eq!(messages(&mut function), [Fatal]);
}

#[test]
fn a_header_without_room_is_an_error_of_its_own() {
    let mut function = function(&[]);
    control(&mut function, 0xf);
    let at = aer(&function);
    write(&mut function, at + 0x14, 0);
    detect(&mut function, "ecrc header 1 2 3");
    assert_eq!(messages(&mut function), [NonFatal]);
    detect(&mut function, "ecrc header 4 5 6");
    assert_eq!(messages(&mut function), [NonFatal, Correctable]);
    assert_eq!(read(&mut function, at + 0x10), 0x8000);
    assert_eq!(read(&mut function, at + 0x1c), 1);
}

#[test]
fn an_error_of_the_function_s_own_is_reported_in_d0() {
    for (what, at_once) in [("completion-timeout", 0), ("poisoned-tlp", 1)] {
        let mut function = function(&[("capabilities.pm.no-soft-reset", "true")]);
        control(&mut function, 0xf);
        write(&mut function, PMCSR, 3);
        detect(&mut function, what);
        assert_eq!(messages(&mut function).len(), at_once, "{what}");
        let mut other = self::function(&[("capabilities.pm.no-soft-reset", "true")]);
        let saved = function.save(Time::ZERO);
        other.restore(Time::ZERO, &saved).unwrap();
        for mut function in [function, other] {
            write(&mut function, PMCSR, 0);
            assert_eq!(messages(&mut function).len(), 1 - at_once, "{what}");
        }
    }
}

#[test]
fn a_reset_forgets_a_message_that_waits() {
    let mut function = function(&[]);
    control(&mut function, 0xf);
    write(&mut function, PMCSR, 3);
    detect(&mut function, "completion-timeout");
    write(&mut function, PMCSR, 0);
    assert_eq!(messages(&mut function), []);
    let at = aer(&function) + 4;
    assert_eq!(read(&mut function, at), 0x4000, "status is sticky");
}

#[test]
fn a_refused_request_leaves_its_header() {
    let mut function = function(&[("capabilities.aer.correctable-mask", "0")]);
    write(&mut function, BAR0, 0xe000_0000);
    let log = aer(&function) + 0x1c;
    let status = aer(&function) + 4;
    let mut data = [0; 8];
    for (offset, len, written, header) in [
        (0x10, 4, false, [0x0000_0001, 0x0f, 0xe000_0010, 0]),
        (0x12, 2, false, [0x0000_0001, 0x0c, 0xe000_0010, 0]),
        (0x11, 1, true, [0x4000_0001, 0x02, 0xe000_0010, 0]),
        (0x12, 4, true, [0x4000_0002, 0x3c, 0xe000_0010, 0]),
        (0x08, 8, true, [0x4000_0002, 0xff, 0xe000_0008, 0]),
    ] {
        // Nothing decodes.
        if written {
            function.write(Time::ZERO, Target::Bar(0), offset, &data[..len]);
        } else {
            function.read(Time::ZERO, Target::Bar(0), offset, &mut data[..len]);
        }
        let found: [u32; 4] = std::array::from_fn(|i| read(&mut function, log + 4 * i as u64));
        assert_eq!(found, header, "{offset:#x}, {len}");
        write(&mut function, status, u32::MAX);
    }
}

#[test]
fn a_function_without_aer_reports_by_default_severity() {
    let text = "
        name = \"plain\"
        [identity]
        vendor-id = 0x1234
        device-id = 2
        class = 0xff0000
        config-size = 4096
        [capabilities.pcie]
    ";
    let profile = Profile::parse("plain", text, &[]).unwrap();
    let mut function = profile.function(&Registry::builtin()).unwrap();
    control(&mut function, 0xf);
    for (what, message) in [
        ("bad-dllp", Correctable),
        ("completion-timeout", NonFatal),
        ("flow-control", Fatal),
        ("unexpected-completion", Correctable),
    ] {
        detect(&mut function, what);
        assert_eq!(messages(&mut function), [message], "{what}");
    }
    for (what, reason) in [
        (
            "internal",
            "a function without AER does not report internal",
        ),
        (
            "poisoned-tlp header 1 2 3",
            "there is no AER, so no header is logged; leave it out",
        ),
    ] {
        let fault = Fault::new("now", &format!("aer {what}")).unwrap();
        let error = function.add_fault(Time::ZERO, fault).unwrap_err();
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn mistakes_in_the_words_are_explained() {
    for (what, reason) in [
        (
            "aer nonsense",
            "'nonsense' is no error; choose one of receiver-error, bad-tlp",
        ),
        (
            "aer malformed-tlp advisory",
            "malformed-tlp is never advisory; leave the word out",
        ),
        (
            "aer poisoned-tlp header 1 2",
            "header is followed by 3 to 4 numbers of 32 bits",
        ),
        (
            "aer receiver-error header 1 2 3",
            "receiver-error has no header; leave it out",
        ),
    ] {
        let error = Fault::new("now", what).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    for (key, what, reason) in [
        (
            "capabilities.aer.uncorrectable",
            "poisoned-tlp",
            "the function's AER has no poisoned-tlp",
        ),
        (
            "capabilities.aer.offset",
            "completion-timeout header 1 2 3",
            "the header of completion-timeout",
        ),
        (
            "capabilities.aer.version",
            "poisoned-tlp prefix 1",
            "the function's AER has no TLP Prefix Log",
        ),
    ] {
        let value = if key.ends_with("version") {
            "1"
        } else {
            "0x100"
        };
        let mut function = function(&[(key, value)]);
        let fault = Fault::new("now", &format!("aer {what}")).unwrap();
        let error = function.add_fault(Time::ZERO, fault).unwrap_err();
        assert!(error.to_string().starts_with(reason), "{error}");
    }
}

#[test]
fn words_are_shown_as_they_are_usual() {
    let fault = Fault::new(
        "dma nth 2",
        "aer poisoned-tlp advisory header 0x4a000001 256 3 prefix 0x91000000",
    );
    assert_eq!(
        fault.unwrap().what.to_string(),
        "aer poisoned-tlp advisory header 0x4a000001 0x100 0x3 prefix 0x91000000"
    );
}
