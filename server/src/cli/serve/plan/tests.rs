//! Command lines and what they mean.

use clap::Parser;

use super::*;
use crate::cli::args::{Arguments, Command};
use crate::cli::paths;

fn plan(line: &[&str], activated: &[(RawFd, &str)]) -> Result<Plan, Failure> {
    let line = ["dormouse", "serve"].iter().chain(line);
    let Some(Command::Serve(arguments)) = Arguments::try_parse_from(line).unwrap().command else {
        panic!("serve was asked for");
    };
    let activated = activated
        .iter()
        .map(|(number, name)| (*number, (*name).to_owned()))
        .collect();
    Plan::new(&arguments, activated, &Registry::builtin())
}

fn path(path: &str) -> Place {
    Place::Path(path.into())
}

/// Name, device socket and control socket of each function.
fn places(plan: Plan) -> Vec<(String, Place, Option<Place>)> {
    let functions = plan.slots.into_iter().flat_map(|slot| slot.functions);
    functions
        .map(|function| (function.name, function.socket, function.control))
        .collect()
}

#[test]
fn sockets_come_from_where_they_are_said_to() {
    for (line, activated, expected) in [
        (
            &["--socket-path", "a"][..],
            &[][..],
            vec![("testdev", path("a"), None)],
        ),
        (
            &["--fd", "5", "--ctl-path", "c"],
            &[],
            vec![("testdev", Place::Fd(5), Some(path("c")))],
        ),
        (
            &[],
            &[(3, "dormouse.socket")],
            vec![("testdev", Place::Fd(3), None)],
        ),
        (
            &[],
            &[(3, "ctl"), (4, "dormouse.socket")],
            vec![("testdev", Place::Fd(4), Some(Place::Fd(3)))],
        ),
        (
            &["--socket-path", "a"],
            &[(3, "ctl")],
            vec![("testdev", path("a"), Some(Place::Fd(3)))],
        ),
        (
            &[
                "--function",
                "socket-path=a",
                "--function",
                "socket-path=b,ctl-path=c",
            ],
            &[],
            vec![
                ("testdev", path("a"), None),
                ("testdev-2", path("b"), Some(path("c"))),
            ],
        ),
        (
            &["--function", "name=x", "--function", "name=y"],
            &[(3, "y.ctl"), (4, "x"), (5, "y")],
            vec![
                ("x", Place::Fd(4), None),
                ("y", Place::Fd(5), Some(Place::Fd(3))),
            ],
        ),
        (
            &["--profile", "gpu-card", "--fd", "7,5"],
            &[],
            vec![
                ("gpu-card.0", Place::Fd(7), None),
                ("gpu-card.1", Place::Fd(5), None),
            ],
        ),
        (
            &["--function", "profile=gpu-card,name=x,fd=7,,5"],
            &[],
            vec![("x.0", Place::Fd(7), None), ("x.1", Place::Fd(5), None)],
        ),
        (
            &["--profile", "gpu-card"],
            &[(3, "gpu-card.1"), (4, "gpu-card.1.ctl"), (5, "gpu-card.0")],
            vec![
                ("gpu-card.0", Place::Fd(5), None),
                ("gpu-card.1", Place::Fd(3), Some(Place::Fd(4))),
            ],
        ),
    ] {
        let plan = plan(line, activated).unwrap();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, device, control)| (name.to_owned(), device, control))
            .collect();
        assert_eq!(places(plan), expected, "{line:?} {activated:?}");
    }
}

#[test]
fn the_rail_socket_is_an_extra() {
    for (line, activated, expected) in [
        (&["--socket-path", "a"][..], &[][..], None),
        (
            &["--socket-path", "a", "--rail-path", "r"],
            &[],
            Some(path("r")),
        ),
        (&["--socket-path", "a"], &[(3, "rail")], Some(Place::Fd(3))),
        (
            &["--function", "name=x,socket-path=a,rail-path=r"],
            &[],
            Some(path("r")),
        ),
        (
            &["--function", "name=x", "--function", "name=y"],
            &[(3, "y"), (4, "x.rail"), (5, "x")],
            Some(Place::Fd(4)),
        ),
    ] {
        let plan = plan(line, activated).unwrap();
        assert_eq!(plan.slots[0].rail, expected, "{line:?}");
    }
}

#[test]
fn the_controller_has_sockets_of_its_own() {
    for (line, activated, expected) in [
        (&["--socket-path", "a"][..], &[][..], None),
        (
            &[
                "--socket-path=a",
                "--controller-path=c",
                "--controller-ctl-path=d",
            ],
            &[],
            Some((path("c"), Some(path("d")))),
        ),
        (
            &["--socket-path", "a", "--controller-fd", "9"],
            &[],
            Some((Place::Fd(9), None)),
        ),
        (
            &[],
            &[(3, "controller"), (4, "controller.ctl"), (5, "device")],
            Some((Place::Fd(3), Some(Place::Fd(4)))),
        ),
    ] {
        let plan = plan(line, activated).unwrap();
        let found = plan.controller;
        let found = found.map(|controller| (controller.socket, controller.control));
        assert_eq!(found, expected, "{line:?}");
    }
}

#[test]
fn without_a_place_both_sockets_get_one() {
    let plan = plan(&[], &[]).unwrap();
    let [function] = &plan.slots[0].functions[..] else {
        panic!("one function");
    };
    assert!(function.by_default);
    assert_eq!(function.socket, Place::Path(paths::socket("testdev")));
    assert_eq!(
        function.control,
        Some(Place::Path(paths::control("testdev")))
    );
}

#[test]
fn what_cannot_be_served_is_refused_as_usage() {
    for (line, activated, expected) in [
        (
            &["--socket-path", "a", "--ctl-path", "a"][..],
            &[][..],
            "given twice",
        ),
        (
            &["--socket-path", "a", "--rail-path", "a"],
            &[],
            "given twice",
        ),
        (
            &["--socket-path", "a", "--controller-path", "a"],
            &[],
            "given twice",
        ),
        (
            &["--function", "fd=3", "--function", "fd=3"],
            &[],
            "descriptor 3 is given twice",
        ),
        (
            &["--profile", "gpu-card", "--fd", "3"],
            &[],
            "gpu-card has 2 function(s), but 1 descriptor(s) are given; give one for each",
        ),
        (&["--fd", "3,4"], &[], "testdev has 1 function(s)"),
        (
            &["--socket-path", "a", "--controller-ctl-path", "c"],
            &[],
            "--controller-ctl-path needs a controller",
        ),
        (
            &[
                "--function",
                "name=x,socket-path=a",
                "--function",
                "name=x,socket-path=b",
            ],
            &[],
            "two functions are named x",
        ),
        (
            &["--function", "slot=a/b,socket-path=a"],
            &[],
            "not a valid slot name",
        ),
        (
            &["--function", "slot=s,number=1,socket-path=a"],
            &[],
            "there is no function 0",
        ),
        (
            &[
                "--function",
                "slot=s,socket-path=a,rail-path=r",
                "--function",
                "slot=s,number=1,socket-path=b,rail-path=t",
            ],
            &[],
            "slot s has rail-path twice",
        ),
        (
            &[
                "--function",
                "slot=s,socket-path=a",
                "--function",
                "slot=s,socket-path=b",
            ],
            &[],
            "give each of them number=N",
        ),
        (
            &["--function", "name=a/b,socket-path=a"],
            &[],
            "not a valid function name",
        ),
        (
            &["--socket-path", "a"],
            &[(3, "b")],
            "no function uses descriptor 3",
        ),
        (
            &["--socket-path", "a", "--socket-group", "no such group"],
            &[],
            "there is no group",
        ),
    ] {
        match plan(line, activated) {
            Err(Failure::Usage(text) | Failure::Profile(text)) => {
                assert!(text.contains(expected), "{line:?}: {text}")
            }
            other => panic!("{line:?}: {:?}", other.map(places)),
        }
    }
}

#[test]
fn settings_are_the_defaults_unless_given() {
    let defaults = plan(&["--socket-path", "a"], &[]).unwrap();
    assert_eq!(
        defaults.access,
        Access {
            mode: 0o600,
            group: None
        }
    );
    assert!(!defaults.settings.once && !defaults.settings.clock.is_manual());

    let line = "--socket-path a --socket-mode 0660 --socket-group 7 --once --clock manual \
                --max-dma-maps 9 --dma-timeout 250ms";
    let given = plan(&line.split_whitespace().collect::<Vec<_>>(), &[]).unwrap();
    assert_eq!(
        given.access,
        Access {
            mode: 0o660,
            group: Some(7)
        }
    );
    assert!(given.settings.once && given.settings.clock.is_manual());
    assert_eq!(given.settings.max_dma_maps, 9);
    assert_eq!(given.settings.dma_timeout, Duration::from_millis(250));
}

#[test]
fn groups_are_found_by_name() {
    let groups = "root:x:0:\nkvm:x:104:qemu,me\nodd\n";
    assert_eq!(find_group(groups, "kvm"), Some(104));
    assert_eq!(find_group(groups, "odd"), None);
    assert_eq!(find_group(groups, "kv"), None);
}

#[test]
fn a_platform_controller_knows_slots_by_unique_names() {
    let line = [
        "--controller-path",
        "c",
        "--rail-as",
        "low-power",
        "--function",
        "profile=nic,socket-path=a",
        "--function",
        "profile=nic,socket-path=b",
        "--function",
        "profile=gpu-display,slot=card,number=0,socket-path=d%n",
        "--function",
        "profile=gpu-audio,slot=card,number=1,socket-path=d%n,set:capabilities.pcie=",
        "--function",
        "profile=nic,slot=own,number=0,socket-path=e%n",
    ];
    let plan = plan(&line, &[]).unwrap_or_else(|failure| panic!("{}", failure.text()));
    assert_eq!(
        plan.controller.map(|controller| controller.socket),
        Some(path("c"))
    );
    let names: Vec<&str> = plan.slots.iter().map(|slot| &*slot.name).collect();
    assert_eq!(names, ["nic", "nic-2", "card", "own"]);
    for slot in &plan.slots {
        for number in slot.devices.numbers() {
            let device = slot.devices.device(number).unwrap();
            assert!(device.options().rail_as.is_low_power());
        }
    }
}
