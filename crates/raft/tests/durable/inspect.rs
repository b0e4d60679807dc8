//! An inspection takes nothing that a crash leaves for damage, sees what the next opening sees, and finds what was flipped.

use raft::durable::{Inspected, Seen, inspect};
use wal::{Disk, Finding, Severity};

use super::*;

fn look(disk: &SimDisk) -> (Inspected, Vec<Finding>) {
    let mut findings = Vec::new();
    let inspected = inspect(disk, Path::new(DIR), Some(IDENTITY), &wal::InTurn, &mut |seen| {
        if let Seen::Finding(finding) = seen {
            findings.push(finding);
        }
    });
    (inspected.expect("the directory is there"), findings)
}

fn damages(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Damage).collect()
}

#[test]
fn what_a_crash_leaves_is_no_damage() {
    let mut images = 0;
    for seed in 0..4 {
        let whole = SimDisk::new(seed);
        work(&whole, seed, 30);
        for operations in 0..whole.operations() {
            let disk = SimDisk::new(seed);
            disk.halt_after(operations);
            work(&disk, seed, 30);
            for crash in
                [Crash::LoseAll, Crash::KeepAll, Crash::Random(operations), Crash::TearLast(operations)]
            {
                let after = disk.crash(crash);
                let names = ["hard-state-a", "hard-state-b"].map(|name| Path::new(DIR).join(name));
                if !names.iter().any(|path| after.exists(path).expect("a simulated disk")) {
                    continue;
                }
                images += 1;
                let (inspected, findings) = look(&after);
                let case = format!("seed {seed}, {operations} operations, {crash:?}: {findings:?}");
                // Half of a copy of the hard state cannot be told from a damaged one.
                let torn = |finding: &&&Finding| names.contains(&finding.path);
                let damages = damages(&findings);
                assert!(damages.iter().all(|finding| torn(&finding)) && damages.len() < 2, "{case}");
                let log = open(&after).unwrap_or_else(|error| panic!("{case}: {error}")).log;
                assert_eq!(
                    (inspected.terms.base(), inspected.terms.last()),
                    (log.base(), log.last()),
                    "{case}"
                );
            }
        }
    }
    assert!(images > 500, "{images} images");
}

#[test]
fn whatever_byte_is_changed_is_found_in_its_file() {
    let disk = SimDisk::new(3);
    work(&disk, 3, 30);
    let disk = disk.crash(Crash::KeepAll);
    drop(open(&disk).expect("opens").log);
    for path in disk.files() {
        let len = disk.open(&path).expect("a file").len().expect("a length");
        for offset in (0..len).step_by(61) {
            let damaged = disk.crash(Crash::KeepAll);
            let file = damaged.open(&path).expect("a file");
            let mut byte = [0];
            file.read_at(offset, &mut byte).expect("within");
            file.write_at(offset, &[byte[0] ^ 4]).expect("writes");
            let (inspected, findings) = look(&damaged);
            if findings.iter().any(|finding| finding.path == path) {
                continue;
            }
            // Behind the body of a hard state, and behind the end of a segment that was cut.
            assert_eq!(findings, [], "{} at {offset}", path.display());
            let log = open(&damaged).expect("what nothing covers means nothing").log;
            assert_eq!(inspected.terms.last(), log.last(), "{} at {offset}", path.display());
        }
    }
}

#[test]
fn the_files_of_another_member_are_found() {
    let disk = SimDisk::new(3);
    work(&disk, 3, 10);
    let mut findings = Vec::new();
    let other = Some([IDENTITY[0], 2]);
    inspect(&disk, Path::new(DIR), other, &wal::InTurn, &mut |seen| {
        if let Seen::Finding(finding) = seen {
            findings.push(finding);
        }
    })
    .expect("the directory is there");
    let foreign = findings.iter().filter(|finding| finding.what.contains("belongs to")).count();
    assert_eq!(
        foreign,
        disk.files().iter().filter(|path| path.extension().is_none_or(|end| end == "wal")).count()
    );
}
