#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| client_tests::fuzz::model::run(data));
