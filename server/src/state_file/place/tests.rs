//! Files in folders of the test's own, and what stands in their places.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::mknodat;
use tempfile::TempDir;

use super::*;
use crate::closer::tests::blocked;

/// A folder `states` that may be used, beside a folder `other`, and both of their paths.
fn scene() -> (TempDir, PathBuf, PathBuf, Places) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let (states, other) = (root.join("states"), root.join("other"));
    for path in [&states, &other, &states.join("sub")] {
        fs::create_dir(path).unwrap();
    }
    fs::write(other.join("precious"), "precious").unwrap();
    let places = Places::In(vec![states.clone()]);
    (folder, states, other, places)
}

fn save(places: &Places, file: &Path) -> io::Result<()> {
    let place = places.find(file).map_err(|error| match error {
        FindError::Elsewhere(error) => io::Error::other(error.to_string()),
        FindError::Folder(error) => error,
    })?;
    let mut new = place.replace(&Closer::default())?;
    new.write_all(b"state")?;
    new.commit()
}

#[test]
fn files_are_found_in_the_places_and_nowhere_else() {
    let (_folder, states, other, places) = scene();
    symlink(&other, states.join("out")).unwrap();
    symlink(states.join("sub"), states.join("in")).unwrap();
    for (inside, file) in [
        (true, states.join("a")),
        (true, states.join("./a")),
        (true, states.join("sub/a")),
        (true, states.join("in/a")),
        (false, states.join("out/a")),
        (false, states.join("../other/a")),
        (false, states.join("../states/a")),
        (false, states.join("none/../../a")),
        (false, states.join("..")),
        (false, states.clone()),
        (false, other.join("a")),
        (false, "/no/such/folder/a".into()),
        (false, "a".into()),
    ] {
        assert_eq!(places.check(&file).is_ok(), inside, "{}", file.display());
        assert_eq!(save(&places, &file).is_ok(), inside, "{}", file.display());
        assert!(Places::In(Vec::new()).check(&file).is_err());
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    assert!(save(&places, Path::new("")).is_err());
    let missing = save(&places, &states.join("none/a")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_link_in_place_of_the_part_or_of_the_file_is_replaced() {
    let (_folder, states, other, places) = scene();
    let precious = other.join("precious");
    for name in ["a", "a.part"] {
        symlink(&precious, states.join(name)).unwrap();
        save(&places, &states.join("a")).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        let made = fs::symlink_metadata(states.join("a")).unwrap();
        assert!(made.is_file(), "{name}");
        assert!(fs::symlink_metadata(states.join("a.part")).is_err());
        fs::remove_file(states.join("a")).unwrap();
    }
    fs::write(states.join("a.part"), "left behind by a server").unwrap();
    save(&places, &states.join("a")).unwrap();
    assert_eq!(fs::read(states.join("a")).unwrap(), b"state");
}

/// Descriptors of this process for files that have no name any more, by their last one.
fn nameless(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.to_str().unwrap();
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    let gone = |link: &PathBuf| {
        let link = link.to_string_lossy();
        link.starts_with(folder) && link.ends_with(" (deleted)")
    };
    links.filter(gone).collect()
}

#[test]
fn files_that_go_are_closed_by_the_closer() {
    let (_folder, states, _, places) = scene();
    let (closer, unblock) = blocked();
    fs::write(states.join("a"), "before").unwrap();
    fs::write(states.join("a.part"), "left behind").unwrap();
    let place = places.find(&states.join("a")).unwrap();
    let mut new = place.replace(&closer).unwrap();
    new.write_all(b"state").unwrap();
    new.commit().unwrap();
    assert_eq!(fs::read(states.join("a")).unwrap(), b"state");
    assert_eq!(fs::read_dir(&states).unwrap().count(), 2, "a and sub");
    assert_eq!(
        nameless(&states).len(),
        2,
        "the one left behind and the old one"
    );
    drop(place.replace(&closer).unwrap());
    assert!(nameless(&states).len() > 2, "the one that is not complete");
    unblock.send(()).unwrap();
    while !nameless(&states).is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn only_regular_files_are_read() {
    let (_folder, states, other, places) = scene();
    symlink(other.join("precious"), states.join("link")).unwrap();
    let fifo = states.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::write(states.join("a"), "state").unwrap();
    for (good, name) in [
        (true, "a"),
        (false, "link"),
        (false, "fifo"),
        (false, "sub"),
    ] {
        let place = places.find(&states.join(name)).unwrap();
        assert_eq!(place.open().is_ok(), good, "{name}");
    }
}

#[test]
fn what_is_not_complete_goes() {
    let (_folder, states, _, places) = scene();
    fs::write(states.join("a"), "before").unwrap();
    let place = places.find(&states.join("a")).unwrap();
    drop(place.replace(&Closer::default()).unwrap());
    assert!(fs::symlink_metadata(states.join("a.part")).is_err());
    fs::create_dir(states.join("b")).unwrap();
    assert!(save(&places, &states.join("b")).is_err());
    assert!(fs::symlink_metadata(states.join("b.part")).is_err());
    assert_eq!(fs::read(states.join("a")).unwrap(), b"before");
}
