//! Every kind of mistake in a profile, with its message.

mod bars;
mod capabilities;
mod doorbells;
mod layout;
mod mappable;
mod text_and_identity;

use super::parse;

/// The beginning of texts that do not start with a name.
const HEAD: &str = r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000

"#;

/// The mistake, the text, and the whole message.
type Mistake = (&'static str, &'static str, &'static str);

#[test]
fn what_silicon_does_against_the_specification_is_warned_of() {
    for (what, text, message) in capabilities::WARNINGS.iter().copied() {
        let profile = parse(&format!("{HEAD}{text}"), &[]).expect(what);
        let warnings: Vec<String> = profile.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [message], "{what}");
    }
}

#[test]
fn a_mistake_is_told_with_its_line_its_key_and_what_would_be_right() {
    let all = [
        text_and_identity::MISTAKES,
        bars::MISTAKES,
        capabilities::MISTAKES,
        layout::MISTAKES,
        doorbells::MISTAKES,
        mappable::MISTAKES,
    ];
    for (what, text, message) in all.into_iter().flatten().copied() {
        let whole = if text.starts_with("name") {
            text.to_owned()
        } else {
            format!("{HEAD}{text}")
        };
        let error = parse(&whole, &[]).expect_err(what);
        assert_eq!(error.to_string(), message, "{what}");
    }
}
