//! A file system of a test's own, in memory, that can be full.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system that is mounted as long as this lives.
#[derive(Debug)]
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of a size as `mount` takes it, like `200m`.
    ///
    /// # Errors
    /// Why the machine does not have any: most often, that this is not root.
    pub fn new(size: &str) -> Result<Tmpfs, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], directory.path())?;
        Ok(Tmpfs(directory))
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When it cannot be changed.
    pub fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], self.path()).expect("a mount can be changed");
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: it goes away when the last file in it is closed.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(at).output().map_err(|error| error.to_string())?;
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(why)
}
