//! Memory at a fixed address to which raw pointers are kept: variables, and what a program computes on the CPU.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Bytes of a cache line, at which the memory starts.
const ALIGNMENT: usize = 64;

/// Words of four bytes, zeros at first. It is never reached through a reference to the owner, so that pointers into it
/// stay good wherever the owner moves; whoever uses one sees to it that nobody writes there at the same time.
pub(crate) struct Memory {
    start: NonNull<u32>,
    elements: usize,
}

// SAFETY: it owns plain words and gives out a raw pointer alone: whoever follows it keeps accesses apart.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Default for Memory {
    fn default() -> Self {
        Memory { start: NonNull::dangling(), elements: 0 }
    }
}

impl Memory {
    /// Zeros; `None` where there is no room for them.
    pub fn zeroed(elements: usize) -> Option<Memory> {
        let layout = Self::layout(elements)?;
        if layout.size() == 0 {
            return Some(Memory::default());
        }
        // SAFETY: the size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        Some(Memory { start: NonNull::new(start)?.cast(), elements })
    }

    /// Its first word.
    pub fn pointer(&self) -> *mut u32 {
        self.start.as_ptr()
    }

    /// Number of words.
    pub fn elements(&self) -> usize {
        self.elements
    }

    fn layout(elements: usize) -> Option<Layout> {
        let bytes = elements.checked_mul(size_of::<u32>())?;
        Layout::from_size_align(bytes, ALIGNMENT).ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.elements).filter(|layout| layout.size() > 0) {
            // SAFETY: allocated in `zeroed` with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_or_nothing() {
        for elements in [0, 1, 15, 16, 1000] {
            let memory = Memory::zeroed(elements).unwrap();
            // SAFETY: the memory's own words, which nobody else reaches.
            let words = unsafe { std::slice::from_raw_parts(memory.pointer(), memory.elements()) };
            assert!(words.len() == elements && words.iter().all(|word| *word == 0));
        }
        assert!(Memory::zeroed(usize::MAX).is_none() && Memory::zeroed(usize::MAX / 4).is_none());
    }
}
