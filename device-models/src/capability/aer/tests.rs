use super::*;
use crate::capability::testing::{dwords, read, write};
use crate::pci::error_reporting::{HEADER_LOG, PREFIX_LOG};
use crate::register::ResetKind;

fn aer(text: &str) -> AdvancedErrorReporting {
    let config = toml::from_str(text).expect("a table of the tests");
    AdvancedErrorReporting::new(&config).expect("a capability of the tests")
}

#[test]
fn registers_at_reset() {
    for (device, text, mask, severity, correctable_mask) in [
        ("PM174X", "", 0x0040_0000, 0x0046_2030, 0x0000_e000),
        (
            "RTL8168",
            "uncorrectable-mask = 0\nuncorrectable-severity = 0x62030\ncorrectable-mask = 0x2000",
            0,
            0x0006_2030,
            0x0000_2000,
        ),
    ] {
        let aer = aer(text);
        let expected = [0, 0, mask, severity, 0, correctable_mask, 0];
        assert_eq!(dwords(&aer)[..7], expected, "{device}");
        assert!(
            dwords(&aer)[7..].iter().all(|dword| *dword == 0),
            "{device}"
        );
    }
}

#[test]
fn the_prefix_log_is_the_second_version_s() {
    for (version, len) in [(1, 11), (2, 18)] {
        let aer = aer(&format!("version = {version}"));
        assert_eq!(aer.registers().len(), len);
        let id = ExtendedId::AdvancedErrorReporting;
        assert_eq!(aer.id(), CapabilityId::Extended { id, version });
    }
    for version in [0, 3] {
        let config = AerConfig {
            version,
            ..AerConfig::default()
        };
        let error = AdvancedErrorReporting::new(&config).expect_err("no such version");
        assert_eq!(error.key(), "version");
    }
}

#[test]
fn software_sees_the_errors_that_exist() {
    let mut aer = aer("uncorrectable = 0x00100010\ncorrectable = 0x00002001");
    for byte in [0xff, 0x00] {
        write(&mut aer, 4, &[byte; 68]);
        let ones = if byte == 0xff { u32::MAX } else { 0 };
        assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0, "RW1C never sets");
        assert_eq!(read(&aer, UNCORRECTABLE_MASK), ones & 0x0050_0010);
        assert_eq!(read(&aer, CORRECTABLE_STATUS), 0);
        assert_eq!(read(&aer, CORRECTABLE_MASK), ones & 0x0000_e001);
        assert!(
            dwords(&aer)[6..].iter().all(|dword| *dword == 0),
            "control and logs"
        );
    }
}

#[test]
fn ecrc_can_be_enabled_where_it_exists() {
    let mut aer = aer("ecrc = true");
    assert_eq!(read(&aer, CONTROL), 0x00a0);
    write(&mut aer, CONTROL as u64, &[0xff; 4]);
    assert_eq!(read(&aer, CONTROL), 0x01e0);
}

fn error(name: &str) -> DetectedError {
    DetectedError::new(ErrorKind::of_name(name).expect("an error of the tests"))
}

fn headed(name: &str, header: [u32; 4]) -> DetectedError {
    let advisory = false;
    DetectedError {
        header,
        advisory,
        ..error(name)
    }
}

fn advisory(name: &str) -> DetectedError {
    DetectedError {
        advisory: true,
        ..headed(name, [1, 2, 3, 4])
    }
}

fn set(aer: &mut AdvancedErrorReporting, offset: usize, value: u32) {
    write(aer, offset as u64, &value.to_le_bytes());
}

fn pointer(aer: &AdvancedErrorReporting) -> u32 {
    read(aer, CONTROL) & 0x1f
}

fn header(aer: &AdvancedErrorReporting) -> [u32; 4] {
    std::array::from_fn(|index| read(aer, HEADER_LOG + 4 * index))
}

#[test]
fn names_and_bits_are_those_of_the_specification() {
    // As `lspci -vvv` and include/uapi/linux/pci_regs.h name them, in the order of the bits.
    let uncorrectable = [
        (4, "data-link-protocol"),       // DLP, PCI_ERR_UNC_DLP
        (5, "surprise-down"),            // SDES, PCI_ERR_UNC_SURPDN
        (12, "poisoned-tlp"),            // TLP, PCI_ERR_UNC_POISON_TLP
        (13, "flow-control"),            // FCP, PCI_ERR_UNC_FCP
        (14, "completion-timeout"),      // CmpltTO, PCI_ERR_UNC_COMP_TIME
        (15, "completer-abort"),         // CmpltAbrt, PCI_ERR_UNC_COMP_ABORT
        (16, "unexpected-completion"),   // UnxCmplt, PCI_ERR_UNC_UNX_COMP
        (17, "receiver-overflow"),       // RxOF, PCI_ERR_UNC_RX_OVER
        (18, "malformed-tlp"),           // MalfTLP, PCI_ERR_UNC_MALF_TLP
        (19, "ecrc"),                    // ECRC, PCI_ERR_UNC_ECRC
        (20, "unsupported-request"),     // UnsupReq, PCI_ERR_UNC_UNSUP
        (21, "acs-violation"),           // ACSViol, PCI_ERR_UNC_ACSV
        (22, "internal"),                // UncorrIntErr, PCI_ERR_UNC_INTN
        (23, "mc-blocked-tlp"),          // BlockedTLP, PCI_ERR_UNC_MCBTLP
        (24, "atomicop-egress-blocked"), // AtomicOpBlocked, PCI_ERR_UNC_ATOMEG
        (25, "tlp-prefix-blocked"),      // TLPBlockedErr, PCI_ERR_UNC_TLPPRE
        (26, "poisoned-egress-blocked"), // PoisonTLPBlocked, PCI_ERR_UNC_POISON_BLK
    ];
    let correctable = [
        (0, "receiver-error"),       // RxErr, PCI_ERR_COR_RCVR
        (6, "bad-tlp"),              // BadTLP, PCI_ERR_COR_BAD_TLP
        (7, "bad-dllp"),             // BadDLLP, PCI_ERR_COR_BAD_DLLP
        (8, "replay-rollover"),      // Rollover, PCI_ERR_COR_REP_ROLL
        (12, "replay-timeout"),      // Timeout, PCI_ERR_COR_REP_TIMER
        (14, "corrected-internal"),  // CorrIntErr, PCI_ERR_COR_INTERNAL
        (15, "header-log-overflow"), // HeaderOF, PCI_ERR_COR_LOG_OVER
    ];
    let all: Vec<(u8, &str)> = ErrorKind::all()
        .iter()
        .map(|kind| (kind.bit, kind.name))
        .collect();
    let expected: Vec<(u8, &str)> = correctable.into_iter().chain(uncorrectable).collect();
    assert_eq!(all, expected);
    // The reset value of Uncorrectable Error Severity is made of the fatal ones (PCIe Base §7.8.4.4).
    let fatal = ErrorKind::all()
        .into_iter()
        .filter(|kind| kind.class == error::ErrorClass::Uncorrectable(ErrorSeverity::Fatal));
    let severity = fatal.fold(0, |bits, kind| bits | kind.mask());
    assert_eq!(severity, AerConfig::default().uncorrectable_severity);
}

#[test]
fn severity_follows_its_register() {
    for (name, at_reset, toggled) in [
        (
            "completion-timeout",
            ErrorSeverity::NonFatal,
            ErrorSeverity::Fatal,
        ),
        (
            "malformed-tlp",
            ErrorSeverity::Fatal,
            ErrorSeverity::NonFatal,
        ),
    ] {
        let mut aer = aer("");
        let found = error(name);
        assert_eq!(aer.record(&found, true).severity, at_reset, "{name}");
        let severity = read(&aer, UNCORRECTABLE_SEVERITY) ^ found.kind.mask();
        set(&mut aer, UNCORRECTABLE_SEVERITY, severity);
        assert_eq!(aer.record(&found, true).severity, toggled, "{name}");
        assert_eq!(read(&aer, UNCORRECTABLE_STATUS), found.kind.mask());
        assert_eq!(read(&aer, CORRECTABLE_STATUS), 0);
    }
}

#[test]
fn a_masked_error_sets_its_status_and_nothing_else() {
    let mut aer = aer("");
    let found = headed("unsupported-request", [1, 2, 3, 4]);
    set(&mut aer, UNCORRECTABLE_MASK, found.kind.mask());
    assert!(aer.record(&found, true).masked);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), found.kind.mask());
    assert_eq!((pointer(&aer), header(&aer)), (0, [0; 4]));
    // It does not keep a later one from being the first.
    let second = headed("poisoned-tlp", [5, 6, 7, 8]);
    assert!(!aer.record(&second, true).masked);
    assert_eq!((pointer(&aer), header(&aer)), (12, [5, 6, 7, 8]));
    // A masked correctable error.
    let found = error("receiver-error");
    assert!(!aer.record(&found, true).masked);
    set(&mut aer, CORRECTABLE_STATUS, u32::MAX);
    set(&mut aer, CORRECTABLE_MASK, 1);
    assert!(aer.record(&found, true).masked);
    assert_eq!(read(&aer, CORRECTABLE_STATUS), 1);
}

#[test]
fn the_first_error_stays_until_its_status_is_cleared() {
    let mut aer = aer("");
    assert!(
        !aer.record(&headed("unsupported-request", [1, 2, 3, 4]), true)
            .overflow
    );
    assert_eq!((pointer(&aer), header(&aer)), (20, [1, 2, 3, 4]));
    let second = headed("completer-abort", [5, 6, 7, 8]);
    assert!(
        aer.record(&second, true).overflow,
        "its header finds no room"
    );
    assert!(
        !aer.record(&error("completion-timeout"), true).overflow,
        "it has none"
    );
    assert_eq!((pointer(&aer), header(&aer)), (20, [1, 2, 3, 4]));
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_c000);
    set(&mut aer, UNCORRECTABLE_STATUS, 0);
    set(&mut aer, UNCORRECTABLE_STATUS, 0x8000);
    assert_eq!(
        (pointer(&aer), header(&aer)),
        (20, [1, 2, 3, 4]),
        "another was cleared"
    );
    set(&mut aer, UNCORRECTABLE_STATUS, 0x0010_0000);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x4000);
    assert_eq!(pointer(&aer), 0);
    aer.record(&second, true);
    assert_eq!((pointer(&aer), header(&aer)), (15, [5, 6, 7, 8]));
}

#[test]
fn errors_without_a_header_log_none() {
    let mut aer = aer("");
    aer.record(&headed("receiver-overflow", [1, 2, 3, 4]), true);
    assert_eq!((pointer(&aer), header(&aer)), (17, [0; 4]));
    for (capable, expected) in [(false, [0; 4]), (true, [1, 2, 3, 4])] {
        let mut aer = self::aer(&format!("completion-timeout-log = {capable}"));
        aer.record(&headed("completion-timeout", [1, 2, 3, 4]), true);
        assert_eq!((pointer(&aer), header(&aer)), (14, expected));
    }
}

#[test]
fn prefixes_are_logged_beside_the_header() {
    let found = DetectedError {
        prefixes: Some([9, 8, 0, 0]),
        ..headed("poisoned-tlp", [1, 2, 3, 4])
    };
    let mut aer = aer("");
    aer.record(&found, true);
    assert_eq!(read(&aer, CONTROL), 0x80c, "TLPPfxPres+");
    assert_eq!([read(&aer, PREFIX_LOG), read(&aer, PREFIX_LOG + 4)], [9, 8]);
    set(&mut aer, UNCORRECTABLE_STATUS, found.kind.mask());
    assert_eq!(read(&aer, CONTROL), 0);
    assert_eq!(read(&aer, PREFIX_LOG), 0);
    let mut without = self::aer("tlp-prefix-log = false");
    without.record(&found, true);
    assert_eq!(read(&without, CONTROL), 0xc);
}

#[test]
fn an_advisory_one_is_correctable_and_more_only_if_not_masked() {
    let mut aer = aer("");
    let found = advisory("unsupported-request");
    let recorded = aer.record(&found, true);
    assert!(recorded.advisory && recorded.masked);
    assert_eq!(read(&aer, CORRECTABLE_STATUS), 0x2000);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0);
    set(&mut aer, CORRECTABLE_MASK, 0);
    assert!(!aer.record(&found, true).masked);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_0000);
    assert_eq!((pointer(&aer), header(&aer)), (20, [1, 2, 3, 4]));
    // The mask of the error itself keeps it from the log alone.
    set(&mut aer, UNCORRECTABLE_STATUS, u32::MAX);
    set(&mut aer, UNCORRECTABLE_MASK, u32::MAX);
    assert!(!aer.record(&found, true).masked);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_0000);
    assert_eq!(header(&aer), [0; 4]);
    // Only if the severity is non-fatal, and the function knows advisory errors.
    assert!(!aer.record(&found, false).advisory);
    set(&mut aer, UNCORRECTABLE_SEVERITY, 0x0010_0000);
    let recorded = aer.record(&found, true);
    assert_eq!(
        (recorded.advisory, recorded.severity),
        (false, ErrorSeverity::Fatal)
    );
}

#[test]
fn an_unexpected_completion_is_always_advisory() {
    let mut aer = aer("");
    assert!(aer.record(&error("unexpected-completion"), true).advisory);
    assert!(!aer.record(&advisory("malformed-tlp"), true).advisory);
}

#[test]
fn recorded_errors_appear_one_after_the_other() {
    let mut aer = aer("multiple-header-recording = true");
    set(&mut aer, CONTROL, 0x400);
    for (name, first) in [
        ("unsupported-request", 1),
        ("poisoned-tlp", 5),
        ("unsupported-request", 9),
    ] {
        let header = std::array::from_fn(|index| first + index as u32);
        assert!(!aer.record(&headed(name, header), true).overflow);
    }
    assert_eq!((pointer(&aer), header(&aer)), (20, [1, 2, 3, 4]));
    // The second error has the bit of the third beside it, which is recorded still.
    set(&mut aer, UNCORRECTABLE_STATUS, 0x0010_0000);
    assert_eq!((pointer(&aer), header(&aer)), (12, [5, 6, 7, 8]));
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_1000);
    let saved = aer.save();
    let mut other = self::aer("multiple-header-recording = true");
    other
        .restore("aer", &saved, &mut Vec::new())
        .expect("the same capability");
    for mut aer in [aer, other] {
        set(&mut aer, UNCORRECTABLE_STATUS, u32::MAX);
        assert_eq!((pointer(&aer), header(&aer)), (20, [9, 10, 11, 12]));
        assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_0000);
        set(&mut aer, UNCORRECTABLE_STATUS, u32::MAX);
        assert_eq!((pointer(&aer), read(&aer, UNCORRECTABLE_STATUS)), (0, 0));
    }
}

#[test]
fn eight_errors_are_recorded_and_forgotten_with_the_enable_bit() {
    let found = headed("poisoned-tlp", [1, 2, 3, 4]);
    let mut aer = aer("multiple-header-recording = true");
    set(&mut aer, CONTROL, 0x400);
    for count in 1..=9 {
        assert_eq!(aer.record(&found, true).overflow, count > 8, "{count}");
    }
    set(&mut aer, CONTROL, 0);
    set(&mut aer, UNCORRECTABLE_STATUS, u32::MAX);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0);
    assert_eq!(header(&aer), [0; 4]);
}

#[test]
fn a_state_with_more_errors_than_there_can_be_is_refused() {
    let found = headed("poisoned-tlp", [1, 2, 3, 4]);
    let mut aer = aer("multiple-header-recording = true");
    set(&mut aer, CONTROL, 0x400);
    for _ in 0..3 {
        aer.record(&found, true);
    }
    let mut saved = aer.save();
    let one = saved["recorded"][0].clone();
    saved["recorded"] = vec![one; 8].into();
    let error = aer.restore("aer", &saved, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "aer: 8 errors wait; at most 7 can");
}

#[test]
fn only_a_fundamental_reset_forgets() {
    for (kind, kept) in [
        (ResetKind::PowerOn, false),
        (ResetKind::Fundamental, false),
        (ResetKind::Hot, true),
        (ResetKind::Flr, true),
        (ResetKind::SoftD3hot, true),
    ] {
        let mut aer = aer("");
        let at_reset = dwords(&aer);
        aer.record(&headed("unsupported-request", [1, 2, 3, 4]), true);
        aer.record(&error("receiver-error"), true);
        write(&mut aer, UNCORRECTABLE_MASK as u64, &[0xff; 8]);
        write(&mut aer, CORRECTABLE_MASK as u64, &[0; 4]);
        let before = dwords(&aer);
        aer.reset(kind);
        assert_eq!(
            dwords(&aer),
            if kept { before } else { at_reset },
            "{kind:?}"
        );
    }
}

#[test]
fn a_second_version_need_not_have_the_prefix_log() {
    let aer = aer("tlp-prefix-log = false\nmultiple-header-recording = true\nheader-log-size = 4");
    assert_eq!(aer.registers().len(), 11);
    assert_eq!(read(&aer, CONTROL), 0x8200);
    let config = AerConfig {
        header_log_size: 32,
        ..AerConfig::default()
    };
    let error = AdvancedErrorReporting::new(&config).expect_err("five bits");
    assert_eq!(error.key(), "header-log-size");
}
