//! Segments in memory: for logs that need not outlive the process, and for playing crashes.
//!
//! A crash keeps what was synced and, of each sector that was written since, either what it held
//! or what it holds: any subset, as disks do (Pillai et al., "All File Systems Are Not Created
//! Equal", OSDI 2014). The same for names that were not synced.

use super::backing::{Backing, Segment, Syncer};
use super::name::SegmentName;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A segment's bytes, and what a crash may leave of them.
#[derive(Clone, Debug, Default)]
struct Disk {
    now: Vec<u8>,
    /// What the sectors held when they were last synced, of those written since.
    unsynced: BTreeMap<usize, Vec<u8>>,
}

impl Disk {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let sectors = offset / SECTOR_BYTES..(offset + bytes.len()).div_ceil(SECTOR_BYTES);
        for sector in sectors {
            let from = sector * SECTOR_BYTES;
            let to = (from + SECTOR_BYTES).min(self.now.len());
            self.unsynced.entry(sector).or_insert_with(|| self.now[from..to].to_vec());
        }
        self.now[offset..][..bytes.len()].copy_from_slice(bytes);
    }

    fn crash(&self, survives: &mut impl FnMut() -> bool) -> Self {
        let mut now = self.now.clone();
        for (sector, was) in &self.unsynced {
            if !survives() {
                now[sector * SECTOR_BYTES..][..was.len()].copy_from_slice(was);
            }
        }
        Self { now, unsynced: BTreeMap::new() }
    }
}

type Shared = Arc<Mutex<Disk>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A folder in memory, whose power can be cut.
#[derive(Clone, Debug, Default)]
pub struct CrashingFiles {
    names: Arc<Mutex<Names>>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    now: BTreeMap<SegmentName, Shared>,
    synced: BTreeMap<SegmentName, Shared>,
}

impl CrashingFiles {
    /// An empty folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a loss of power leaves: `survives` is asked once for every name and every sector that
    /// was not synced. The folder itself stays as it is.
    #[must_use]
    pub fn crash(&self, mut survives: impl FnMut() -> bool) -> Self {
        let names = lock(&self.names);
        let mut left = BTreeMap::new();
        let all = names.now.iter().chain(&names.synced);
        for (name, disk) in all.collect::<BTreeMap<_, _>>() {
            let (is, was) = (names.now.contains_key(name), names.synced.contains_key(name));
            if is == was || survives() == is {
                let disk = lock(disk).crash(&mut survives);
                left.insert(*name, Arc::new(Mutex::new(disk)));
            }
        }
        Self { names: Arc::new(Mutex::new(Names { now: left.clone(), synced: left })) }
    }

    /// Changes bytes of a segment behind everybody's back.
    pub fn tamper(&self, name: SegmentName, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(disk) = lock(&self.names).now.get(&name) {
            change(&mut lock(disk).now);
        }
    }
}

impl Backing for CrashingFiles {
    type Segment = MemorySegment;

    fn list(&self) -> io::Result<Vec<SegmentName>> {
        Ok(lock(&self.names).now.keys().copied().collect())
    }

    fn create(&self, name: SegmentName, bytes: u64) -> io::Result<MemorySegment> {
        let segment = self.create_nameless(bytes)?;
        self.give_name(&segment, name)?;
        Ok(segment)
    }

    fn create_nameless(&self, bytes: u64) -> io::Result<MemorySegment> {
        let disk = Disk { now: vec![0; bytes as usize], ..Disk::default() };
        Ok(MemorySegment { disk: Arc::new(Mutex::new(disk)) })
    }

    fn give_name(&self, segment: &MemorySegment, name: SegmentName) -> io::Result<()> {
        let mut names = lock(&self.names);
        if names.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.now.insert(name, Arc::clone(&segment.disk));
        Ok(())
    }

    fn rename(&self, from: SegmentName, to: SegmentName) -> io::Result<()> {
        let mut names = lock(&self.names);
        let disk = names.now.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        names.now.insert(to, disk);
        Ok(())
    }

    fn open(&self, name: SegmentName) -> io::Result<MemorySegment> {
        let disk = lock(&self.names).now.get(&name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(MemorySegment { disk })
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        lock(&self.names).now.remove(&name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut names = lock(&self.names);
        names.synced = names.now.clone();
        Ok(())
    }

    fn path_of(&self, name: SegmentName) -> String {
        format!("memory:{name}")
    }
}

/// A segment in memory.
#[derive(Debug)]
pub struct MemorySegment {
    disk: Shared,
}

impl Segment for MemorySegment {
    fn bytes(&self) -> u64 {
        lock(&self.disk).now.len() as u64
    }

    fn write(&mut self, offset: u64, parts: [&[u64]; 2]) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let mut at = offset as usize;
        for part in parts {
            let bytes: &[u8] = bytemuck::cast_slice(part);
            disk.write(at, bytes);
            at += bytes.len();
        }
        Ok(())
    }

    fn read(&self, offset: u64, into: &mut [u64]) -> io::Result<()> {
        let disk = lock(&self.disk);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(into);
        let from = disk.now.get(offset as usize..).and_then(|from| from.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn syncer(&self) -> Arc<dyn Syncer> {
        Arc::new(MemorySyncer(Arc::clone(&self.disk)))
    }
}

struct MemorySyncer(Shared);

impl Syncer for MemorySyncer {
    fn sync(&self) -> io::Result<()> {
        lock(&self.0).unsynced.clear();
        Ok(())
    }
}
