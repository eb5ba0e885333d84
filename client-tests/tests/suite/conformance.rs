//! The conformance suite on our server, on the server of the crate `vfio_user`, and on two that are
//! wrong on purpose.

mod bad;
mod other;

use std::fs;
use std::path::Path;
use std::time::Duration;

use client_tests::conformance::expect::Expected;
use client_tests::conformance::run::{Judgement, Run, run};
use client_tests::conformance::{checks, page, report};
use client_tests::daemon::{Daemon, Spec};
use client_tests::raw::PATIENCE;
use dormouse::Settings;

/// Time to wait for servers that owe answers to many checks.
const IMPATIENCE: Duration = Duration::from_millis(700);

fn expected(name: &str) -> Expected {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    Expected::read(&folder.join(format!("{name}.toml"))).unwrap()
}

fn judge(socket: &Path, patience: Duration, expected: &Expected) -> Run {
    run(socket, patience, expected, |_| {}).unwrap()
}

/// Nothing but what is declared differs, and all of that does.
fn is_as_declared(run: &Run) {
    let mut report: Vec<String> = run
        .judged
        .iter()
        .map(|judged| report::tap_line(0, judged))
        .collect();
    report.retain(|line| !line.starts_with("ok "));
    assert!(
        run.is_fine(),
        "{}\n{}",
        report.join("\n"),
        report::tap_tail(run)
    );
    assert_eq!(run.judged.len(), checks().count());
}

/// With doorbells, a BAR that can be mapped and one of which areas can be.
fn ours(view: &str) -> Daemon {
    let spec = Spec::named("testdev").unwrap().set(&[
        &format!("host.view={view}"),
        "bar.0.size=0x8000",
        "bar.0.mappable=[{ offset = 0x1000, size = 0x1000 }, { offset = 0x4000, size = 0x2000 }]",
        "bar.2.mappable=true",
        "doorbell.0.bar=0",
        "doorbell.0.offset=4",
        "doorbell.1.bar=0",
        "doorbell.1.offset=8",
    ]);
    Daemon::start_with(Settings::default(), &[spec]).unwrap()
}

#[test]
fn dormouse_differs_as_declared() {
    let daemon = ours("hardware");
    let run = judge(&daemon.socket(0), PATIENCE, &expected("dormouse"));
    is_as_declared(&run);
    let not_tried = run.names(|judgement| matches!(judgement, Judgement::DoesNotApply(_)));
    assert!(
        !not_tried
            .iter()
            .any(|name| name.starts_with("region-info.")),
        "{not_tried:?}"
    );
}

#[test]
fn dormouse_as_vfio_pci_differs_as_declared() {
    let daemon = ours("vfio-pci");
    let expected = expected("dormouse").and(expected("dormouse-vfio-pci"));
    is_as_declared(&judge(&daemon.socket(0), PATIENCE, &expected));
}

#[test]
fn a_device_that_is_told_to_stay_stays() {
    let spec = Spec::named("testdev").unwrap();
    let spec = spec.set(&["host.on-disconnect=retain"]);
    let daemon = Daemon::start_with(Settings::default(), &[spec]).unwrap();
    let run = judge(&daemon.socket(0), PATIENCE, &expected("dormouse"));
    let stale = run.names(|judgement| !judgement.is_fine());
    assert_eq!(
        stale,
        ["client.device-stays"],
        "it is declared and does not show"
    );
}

#[test]
fn a_declared_difference_that_does_not_show_is_a_failure() {
    let daemon = ours("hardware");
    let untrue = "[differences]\n\"version.header-only\" = \"it is not\"";
    let expected = expected("dormouse").and(Expected::parse("here", untrue).unwrap());
    let run = judge(&daemon.socket(0), PATIENCE, &expected);
    assert!(!run.is_fine());
    let wrong = run.names(|judgement| matches!(judgement, Judgement::DoesNotDiffer(_)));
    assert_eq!(wrong, ["version.header-only"]);
}

#[test]
fn declarations_name_checks_and_reasons() {
    for (text, complaint) in [
        (
            "[differences]\n\"dma-map.tea\" = \"green\"",
            "there is no check dma-map.tea",
        ),
        (
            "[differences]\n\"version.major\" = \" \"",
            "version.major has no reason",
        ),
        ("[other]\n", "unknown field"),
    ] {
        let error = format!("{:#}", Expected::parse("here", text).unwrap_err());
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn the_crate_vfio_user_differs_as_declared() {
    let server = other::serve();
    is_as_declared(&judge(
        server.socket(),
        IMPATIENCE,
        &expected("vfio_user-0.1.7"),
    ));
}

#[test]
fn a_server_that_says_yes_to_everything_fails() {
    let server = bad::serve(bad::Manner::AlwaysYes);
    let run = judge(server.socket(), IMPATIENCE, &Expected::default());
    let failed = run.names(|judgement| matches!(judgement, Judgement::Fails(_)));
    assert_eq!(run.gone, None);
    for area in [
        "message.",
        "version.",
        "version-text.",
        "info.",
        "region-info.",
        "io-fds.",
        "irq-info.",
        "irqs.",
        "region.",
        "config.",
        "dma-map.",
        "dma-unmap.",
        "feature.",
        "mig-data.",
        "client.",
    ] {
        let any = failed.iter().any(|name| name.starts_with(area));
        assert!(any, "nothing in {area} fails: {failed:?}");
    }
}

#[test]
fn a_server_that_answers_with_wrong_sizes_cannot_be_judged() {
    let server = bad::serve(bad::Manner::WrongSizes);
    let error = run(server.socket(), IMPATIENCE, &Expected::default(), |_| {}).unwrap_err();
    assert!(
        format!("{error:#}").contains("DEVICE_GET_INFO"),
        "{error:#}"
    );
}

#[test]
fn a_server_that_dies_ends_the_run() {
    let server = bad::serve(bad::Manner::DiesOfNonsense);
    let run = judge(server.socket(), IMPATIENCE, &Expected::default());
    let gone = run.gone.as_deref().unwrap_or_default();
    assert!(
        gone.starts_with("the server is gone after message.size-zero"),
        "{gone}"
    );
    assert!(report::tap_tail(&run).starts_with("Bail out! "));
    assert_eq!(report::json(&run)["fine"], false);
}

#[test]
fn nobody_there_is_an_error() {
    let nowhere = Path::new("/nonexistent/conformance.sock");
    let error = run(
        nowhere,
        Duration::from_millis(50),
        &Expected::default(),
        |_| {},
    )
    .unwrap_err();
    assert!(format!("{error:#}").contains("cannot connect"), "{error:#}");
}

#[test]
fn names_of_checks_are_unique() {
    let mut names: Vec<&str> = checks().map(|check| check.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_page_lists_the_checks() {
    let page = fs::read_to_string(page::path()).unwrap();
    assert!(
        page::make(&page).unwrap() == page,
        "docs/conformance.md lists other checks; bring it up to date with \
         `cargo run -p client-tests --bin conformance -- --write-docs`"
    );
}
