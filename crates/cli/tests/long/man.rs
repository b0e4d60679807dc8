//! Manual pages.

use super::ctl;

#[test]
fn there_is_a_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let output = ctl().arg("man").arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let page = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(page("quoratectl.1").contains("endpoints"));
    assert!(page("quoratectl-member-add.1").contains("peer\\-urls"));
    assert!(page("quoratectl-snapshot-save.1").contains("Stores an etcd node backend snapshot"));
    // What all commands take is on the first page.
    assert!(!page("quoratectl-member-add.1").contains("insecure\\-skip"));
    assert!(!directory.path().join("quoratectl-man.1").exists());
}
