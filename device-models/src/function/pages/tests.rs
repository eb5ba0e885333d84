use super::*;
use crate::model::Registry;
use crate::profile::Profile;

const BAR: u8 = 2;

fn function() -> Function {
    let text = Profile::builtin("testdev").expect("it is built in");
    let profile = Profile::parse("testdev", text, &[]).unwrap();
    profile.function(&Registry::builtin()).unwrap()
}

/// The pages that are not zero, by number, and the pauses on the way.
fn pages(function: &Function, budget: u32) -> (Vec<u64>, usize) {
    let (mut pages, mut pauses) = (Vec::new(), 0);
    let mut from = Page::FIRST;
    loop {
        match function.next_page(from, &mut { budget }) {
            Scan::Page(page, content) => {
                assert_eq!(page.bar, u32::from(BAR));
                assert_ne!(content.bytes.first(), Some(&0));
                assert_ne!(content.bytes.last(), Some(&0));
                pages.push(page.number);
                from = page.next();
            }
            Scan::Pause(page) => {
                pauses += 1;
                from = page;
            }
            Scan::End => return (pages, pauses),
        }
    }
}

#[test]
fn only_pages_that_were_written_are_read() {
    let mut function = function();
    assert_eq!(
        (pages(&function, 0), function.pages_held()),
        ((vec![], 0), 0)
    );
    let memory = function.bar_memory_mut(BAR).unwrap();
    memory.write(0x3000, &[0; 16]);
    memory.write(0x5fff, &[1, 2]);
    memory.write(0xf000, &[3]);
    assert_eq!(function.pages_held(), 4);
    assert_eq!(pages(&function, 1), (vec![5, 6, 15], 1), "one is zero");
    assert_eq!(pages(&function, 64), (vec![5, 6, 15], 0));
}

#[test]
fn an_image_holds_the_last_of_each_page() {
    let mut function = function();
    let mut image = MemoryImage::new(&function);
    for (offset, bytes) in [
        (0x1000, &[1; 4096][..]),
        (0x1800, &[2]),
        (0x2fff, &[3]),
        (0x2000, &[]),
        (0x4004, &[4, 5]),
    ] {
        image.set_page(BAR.into(), offset, bytes).unwrap();
    }
    assert_eq!(image.held(), 2 * PAGE);
    function.check_image(&image).unwrap();
    let mut fill = function.adopt_image(image);
    assert!(fill.is_over() && function.fill_memory(&mut fill, 0));
    let mut data = [9; 0x10000];
    function.bar_memory_mut(BAR).unwrap().read(0, &mut data);
    let expected = |offset| match offset {
        0x1800 => 2,
        0x4004 => 4,
        0x4005 => 5,
        _ => 0,
    };
    assert!((0..data.len()).all(|offset| data[offset] == expected(offset)));
}

#[test]
fn what_has_no_place_in_an_image_is_refused() {
    let function = function();
    let mut image = MemoryImage::new(&function);
    for (bar, offset, len) in [
        (0, 0, 1),
        (6, 0, 1),
        (u32::MAX, 0, 1),
        (2, 0x10000, 1),
        (2, 0xffff, 2),
        (2, 0xfff, 2),
        (2, u64::MAX, 1),
        (2, 0, 4097),
    ] {
        let refused = image.set_page(bar, offset, &vec![1; len]);
        assert!(refused.is_err(), "{bar}, {offset:#x} + {len}");
    }
    assert_eq!((image.held(), MemoryImage::capacity(&function)), (0, 16));
}

#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let mut memory = PrivateMemory::new(u64::MAX);
    assert!(memory.try_write(0, &[1]).is_err());
    memory.write(0, &[1]);
    let mut data = [9];
    memory.read(0, &mut data);
    assert_eq!(data, [0], "the write is lost");
}
