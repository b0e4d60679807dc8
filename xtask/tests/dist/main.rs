//! What a release hands out: the files of `dist/` say what is so, and a member starts from what `cargo xtask dist` packs.

mod files;
mod metrics;
mod packages;
mod promql;
mod unit;
