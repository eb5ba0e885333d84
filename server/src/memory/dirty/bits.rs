//! Bits in words of 64.

/// The words in which the bits from `first` to `last` are, each with those bits.
pub(super) fn words(first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
    (first / 64..=last / 64).map(move |word| {
        let low = if word == first / 64 { first % 64 } else { 0 };
        let high = if word == last / 64 { last % 64 } else { 63 };
        (word, u64::MAX << low & u64::MAX >> (63 - high))
    })
}

/// Sets the bits from `first` to `last` in a bitmap of the wire, whose words are in the host's
/// order. Bits beyond its end are none.
pub(super) fn set(bitmap: &mut [u8], first: u64, last: u64) {
    let (bitmap, _) = bitmap.as_chunks_mut::<8>();
    for (word, mask) in words(first, last) {
        let place = usize::try_from(word).ok();
        let Some(place) = place.and_then(|word| bitmap.get_mut(word)) else {
            return;
        };
        *place = (u64::from_ne_bytes(*place) | mask).to_ne_bytes();
    }
}
