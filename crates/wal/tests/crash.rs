//! Crashes at every operation of recorded traces, and crashes during the recovery from them.
//!
//! A trace is a sequence of calls. It is run once for each write, sync and change of names that it makes, and killed
//! there; of what was not synced, a crash then keeps nothing, everything, a random subset of sectors, or all but a torn
//! last write. Whatever is left must open, and hold every record that was acknowledged and none that was not appended.

mod support;

use std::time::Instant;

use support::{Choices, Known, Step, budget, crashes, entries, open_with, random_trace};
use wal::{Crash, Head, SimDisk};

const SEGMENT_BYTES: u64 = 8 * 512;

#[rustfmt::skip] // one line for each trace
fn written_traces() -> Vec<Vec<Step>> {
    use Step::*;
    vec![
        vec![Append(10), Sync, Append(0), Append(600), Sync, Append(1500), Flush, Append(30), Sync, Append(5)],
        vec![Append(900), Append(900), Append(900), Append(900), Sync, Append(2000), Sync, Append(2000), Sync, Release(1)],
        vec![Append(100), Sync, Append(511), Append(512), Sync, Truncate(2), Append(7), Sync, Append(8), Truncate(1), Append(9)],
        vec![Append(1000), Roll, Append(1000), Roll, Append(1000), Sync, Truncate(2), Append(40), Sync, Release(2), Append(1), Sync],
        vec![Append(1), Flush, Append(2), Flush, Append(3000), Flush, Sync, Append(450), Sync, Append(60), Sync, Roll, Sync],
        // What stays before a cut has not been synced when the cut is made.
        vec![Append(700), Append(700), Flush, Append(700), Append(20), Truncate(2), Append(3), Sync, Truncate(3)],
        // A record that ends with its sector, so that the next one begins behind a stamp; then a witness.
        vec![Append(504 - 36), Sync, Append(504 - 36), Append(504 - 35), Witness, Witness, Append(2 * 504 - 36), Sync],
        vec![Append(900), Sync, Reopen, Append(900), Flush, Reopen, Append(900), Truncate(1), Reopen, Append(1), Sync],
        vec![Append(3000), Append(3000), Append(3000), Sync, Truncate(2), Truncate(1), Append(5), Sync, Release(1), Reopen],
        // Records longer than a segment: in the middle of a batch, first of all, with one prepared that is too short, torn.
        vec![Append(100), Append(5000), Append(20), Sync, Append(9000), Sync, Append(30), Sync, Release(1)],
        vec![Append(6000), Sync, Prepare, Append(4500), Flush, Append(10), Sync, Truncate(1), Reopen, Append(5000), Sync],
        vec![Append(10), Sync, Append(7000), Flush, Reopen, Append(7000), Truncate(1), Append(4300), Sync, Truncate(2), Sync],
    ]
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut choices = Choices(1);
    let random = (0..12 * budget()).map(|_| random_trace(&mut choices, 25));
    let started = Instant::now();
    let mut images = 0;
    for (number, trace) in written_traces().into_iter().chain(random).enumerate() {
        images += crash_everywhere(number as u64, &trace);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{images} crash images in {seconds:.1} s, {:.0} a second", images as f64 / seconds);
    assert!(images > 20_000, "only {images} images");
}

/// Returns how many images were opened.
fn crash_everywhere(number: u64, trace: &[Step]) -> u64 {
    let mut images = 0;
    for halt in 0.. {
        let disk = SimDisk::new(number);
        disk.halt_after(halt);
        let mut known = Known::default();
        let is_whole = known.run(&disk, SEGMENT_BYTES, trace).is_ok();
        let context =
            |what: &str| format!("trace {number} {trace:?}, killed after {halt} operations, {what}");
        images += check_image(&disk.restart(), &known, &context("the machine went on"), halt);
        for crash in crashes() {
            images += check_image(&disk.crash(crash), &known, &context(&format!("{crash:?}")), halt);
        }
        if is_whole {
            return images;
        }
    }
    images
}

/// Opens an image, checks it, goes on writing to it; and does the same with a crash during that.
fn check_image(image: &SimDisk, known: &Known, context: &str, salt: u64) -> u64 {
    let mut images = 1;
    for halt in 0.. {
        let nested = image.fork();
        nested.halt_after(halt);
        let is_whole = open_with(&nested, SEGMENT_BYTES).is_ok();
        if is_whole {
            break;
        }
        let again = nested.crash(Crash::Random(halt ^ salt << 8));
        let nested_context = || format!("{context}, and again after {halt}");
        let opened = open_with(&again, SEGMENT_BYTES);
        let (wal, _) = opened.unwrap_or_else(|error| panic!("{}: {error}", nested_context()));
        known.check(&wal, &nested_context());
        images += 1;
    }
    let opened = open_with(image, SEGMENT_BYTES);
    let (mut wal, _) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
    known.check(&wal, context);
    let before = entries(&wal).expect("it was read before");
    assert_eq!(image.files().len(), wal.segments().len(), "{context}: something is left over");

    // What a log shows once is durable, and opening it once more changes nothing.
    let (again, recovery) =
        open_with(&image.crash(Crash::LoseAll), SEGMENT_BYTES).expect("it was opened before");
    assert_eq!(entries(&again).expect("it was read before"), before, "{context}");
    assert_eq!(recovery.torn, None, "{context}");

    wal.append(Head { kind: 1, number: 1000, tag: 2000 }, &[b"more"]).expect("the log goes on");
    wal.sync().expect("the log goes on");
    let (again, _) = open_with(&image.crash(Crash::LoseAll), SEGMENT_BYTES)
        .unwrap_or_else(|error| panic!("{context}, reopened: {error}"));
    let after = entries(&again).unwrap_or_else(|error| panic!("{context}, reopened: {error}"));
    assert_eq!(after[..after.len() - 1], before, "{context}");
    images + 2
}
