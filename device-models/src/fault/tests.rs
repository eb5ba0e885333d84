use super::*;

#[test]
fn faults_are_written_as_they_are_read() {
    for (when, what) in [
        ("now", "not-ready 300ms"),
        ("after 1500us", "gone until-power-off"),
        ("every 2s from 1min first 3", "gone for-ever"),
        ("reset", "not-ready 1min rrs"),
        ("reset flr nth 2", "reset-ignored"),
        ("power-on chance 1/8 seed 42", "bar-off 0 for-ever"),
        ("d-state d3hot d0 first 3", "stuck"),
        ("d-state any d0", "lose-state"),
        ("config-write 0x44-0x47", "bits-do-not-stick 0x44 0x3"),
        ("config-read 0x0", "not-ready for-ever"),
        ("bar-read 0", "bar-off 0 10ms"),
        ("bar-write 2 0x10-0x1f", "gone 2s"),
        ("interrupt 3", "msi-lost"),
        ("interrupt", "msi-doubled"),
        ("intx-assert", "intx-lost"),
        ("intx-release nth 2", "intx-stuck"),
        ("every 1s", "pme-spurious"),
        ("pme nth 2", "pme-lost"),
        ("dma chance 1/2 seed 0", "dma-error"),
        ("resume first 2", "fail EBUSY"),
        ("device-reset", "fail EAGAIN"),
    ] {
        let text = format!("name=x,when={when},what={what}");
        let fault: Fault = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(fault.name.as_deref(), Some("x"));
        assert_eq!(fault.when.to_string(), when);
        assert_eq!(fault.what.to_string(), what);
        let json = serde_json::to_value(&fault).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "name": "x", "when": when, "what": what })
        );
        assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault);
        let toml = format!("name = \"x\"\nwhen = \"{when}\"\nwhat = \"{what}\"\n");
        assert_eq!(toml::from_str::<Fault>(&toml).unwrap(), fault);
    }
}

#[test]
fn mistakes_are_refused_with_the_remedy() {
    for (text, expected) in [
        ("when=reset", "write when=OCCASION,what=FAILURE"),
        ("when=reset,what=stuck", "when has to be d-state"),
        (
            "when=noon,what=stuck",
            "'noon' is no occasion; choose one of now",
        ),
        ("when=after soon,what=gone 1s", "'soon' is no duration"),
        ("when=every 0ns,what=gone 1s", "longer duration"),
        ("when=d-state d3hot,what=stuck", "a word is missing"),
        ("when=d-state d3hot d4,what=stuck", "'d4' is no power state"),
        ("when=d-state d0 d3cold,what=stuck", "without d3cold"),
        ("when=reset nth 0,what=gone 1s", "at least 1"),
        ("when=reset chance 3/2 seed 1,what=gone 1s", "such as 1/8"),
        ("when=reset chance 1/2,what=gone 1s", "add seed"),
        (
            "when=reset flr hot,what=gone 1s",
            "'hot' has no meaning here",
        ),
        (
            "when=reset,what=late",
            "'late' is no failure; choose one of aer, bar-off",
        ),
        (
            "when=reset,what=not-ready",
            "The form is not-ready DURATION",
        ),
        ("when=reset,what=not-ready 1.5s", "'1.5s' is no duration"),
        (
            "when=config-write,what=bits-do-not-stick 0x45 1",
            "multiple of 4",
        ),
        ("when=bar-read 6,what=gone 1s", "no BAR 6"),
        (
            "when=reset,what=fail EIO",
            "resume, resume-callback, port-resume, device-reset or device-lock",
        ),
        ("when=resume,what=fail EWHAT", "no errno"),
        ("name=a b,when=reset,what=gone 1s", "is no name"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn kinds_are_sorted_and_have_help() {
    let names: Vec<&str> = kinds().map(|kind| kind.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(kinds().all(|kind| !kind.about.is_empty()));
}
