//! Variables live on a device and outlast programs: parameters, optimiser state, recurrent state, memories.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::shape::{DType, MAXIMUM_ELEMENTS, TensorType};

/// Elements that a caller hands over: a slice of floats or of integers.
pub trait Data {
    /// The type of the elements.
    fn dtype(&self) -> DType;
    /// The elements' bits.
    fn bits(&self) -> &[u32];
}

macro_rules! data {
    ($element:ty, $dtype:expr, $($container:ty),*) => {$(
        impl Data for $container {
            fn dtype(&self) -> DType { $dtype }
            fn bits(&self) -> &[u32] { bytemuck::cast_slice::<$element, u32>(self.as_ref()) }
        }
    )*};
}
data!(f32, DType::F32, Vec<f32>, &[f32], Box<[f32]>);
data!(u32, DType::U32, Vec<u32>, &[u32], Box<[u32]>);
data!(i32, DType::I32, Vec<i32>, &[i32], Box<[i32]>);

impl<const N: usize> Data for [f32; N] {
    fn dtype(&self) -> DType {
        DType::F32
    }
    fn bits(&self) -> &[u32] {
        bytemuck::cast_slice(self)
    }
}

impl<const N: usize> Data for [u32; N] {
    fn dtype(&self) -> DType {
        DType::U32
    }
    fn bits(&self) -> &[u32] {
        self
    }
}

impl Data for f32 {
    fn dtype(&self) -> DType {
        DType::F32
    }
    fn bits(&self) -> &[u32] {
        bytemuck::cast_slice(std::slice::from_ref(self))
    }
}

impl Data for u32 {
    fn dtype(&self) -> DType {
        DType::U32
    }
    fn bits(&self) -> &[u32] {
        std::slice::from_ref(self)
    }
}

impl<const N: usize> Data for [i32; N] {
    fn dtype(&self) -> DType {
        DType::I32
    }
    fn bits(&self) -> &[u32] {
        bytemuck::cast_slice(self)
    }
}

impl Data for i32 {
    fn dtype(&self) -> DType {
        DType::I32
    }
    fn bits(&self) -> &[u32] {
        bytemuck::cast_slice(std::slice::from_ref(self))
    }
}

/// The memory behind a variable on some device.
pub trait VariableStorage: Send + Sync {
    /// Copies the elements out.
    ///
    /// # Errors
    /// Another number of elements than it holds, or the device is lost.
    fn read(&self, bits: &mut [u32]) -> Result<()>;
    /// Replaces the elements.
    ///
    /// # Errors
    /// Another number of elements than it holds, or the device is lost.
    fn write(&self, bits: &[u32]) -> Result<()>;
    /// The concrete storage, for the executor it belongs to.
    fn as_any(&self) -> &dyn Any;
}

struct Inner {
    id: u64,
    name: String,
    of: TensorType,
    storage: Box<dyn VariableStorage>,
}

/// A tensor that lives on a device and outlasts programs. Cloning the handle does not copy the tensor.
#[derive(Clone)]
pub struct Variable(Arc<Inner>);

impl Variable {
    pub(crate) fn new(name: &str, of: TensorType, storage: Box<dyn VariableStorage>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Variable(Arc::new(Inner { id, name: name.to_string(), of, storage }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// The name given at creation.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Shape and element type.
    pub fn tensor_type(&self) -> &TensorType {
        &self.0.of
    }

    pub(crate) fn storage(&self) -> &dyn VariableStorage {
        self.0.storage.as_ref()
    }

    /// The elements of a variable of floats.
    ///
    /// # Errors
    /// It holds integers, or the device is lost.
    pub fn read(&self) -> Result<Vec<f32>> {
        self.expect(DType::F32, self.0.of.elements())?;
        let mut out = vec![0f32; self.0.of.elements()];
        self.0.storage.read(bytemuck::cast_slice_mut(&mut out))?;
        Ok(out)
    }

    /// The elements of a variable of signed integers.
    ///
    /// # Errors
    /// It holds something else, or the device is lost.
    pub fn read_i32(&self) -> Result<Vec<i32>> {
        self.expect(DType::I32, self.0.of.elements())?;
        let mut out = vec![0i32; self.0.of.elements()];
        self.0.storage.read(bytemuck::cast_slice_mut(&mut out))?;
        Ok(out)
    }

    /// The elements of a variable of unsigned integers.
    ///
    /// # Errors
    /// It holds something else, or the device is lost.
    pub fn read_u32(&self) -> Result<Vec<u32>> {
        self.expect(DType::U32, self.0.of.elements())?;
        let mut out = vec![0u32; self.0.of.elements()];
        self.0.storage.read(&mut out)?;
        Ok(out)
    }

    /// Replaces the elements.
    ///
    /// # Errors
    /// Another number or type of elements, or the device is lost.
    pub fn write(&self, data: &dyn Data) -> Result<()> {
        // Asked for once: what is checked is what is written.
        let bits = data.bits();
        self.expect(data.dtype(), bits.len())?;
        self.0.storage.write(bits)
    }

    fn expect(&self, dtype: DType, elements: usize) -> Result<()> {
        if dtype == self.0.of.dtype && elements == self.0.of.elements() {
            return Ok(());
        }
        Err(Error::Graph(format!(
            "variable `{}` is {} and was met with {elements} elements of {dtype}",
            self.0.name, self.0.of
        )))
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}: {}", self.0.name, self.0.id, self.0.of)
    }
}

/// A variable's memory on the CPU, at a fixed address, with a lock of its own: programs take it for a whole run, and
/// taking it must not allocate.
pub struct CpuStorage {
    memory: Memory,
    /// Readers, or -1 while written.
    lock: AtomicIsize,
}

impl CpuStorage {
    /// Zeros; none at all, so that every read and write is an error, where there is no room for so many.
    pub fn new(elements: usize) -> Self {
        let memory = Memory::zeroed(elements).unwrap_or_default();
        CpuStorage { memory, lock: AtomicIsize::new(0) }
    }

    /// Zeros.
    ///
    /// # Errors
    /// More elements than a tensor may have ([`MAXIMUM_ELEMENTS`]), or no room for them.
    pub(crate) fn zeroed(elements: usize) -> Result<Self> {
        let memory = (elements <= MAXIMUM_ELEMENTS).then(|| Memory::zeroed(elements)).flatten();
        let memory = memory.ok_or_else(|| Error::Device {
            device: "cpu".into(),
            message: format!("there is no room for a variable of {elements} elements"),
        })?;
        Ok(CpuStorage { memory, lock: AtomicIsize::new(0) })
    }

    /// Refuses another number of elements than there are.
    fn expect(&self, elements: usize) -> Result<()> {
        match self.memory.elements() {
            own if own == elements => Ok(()),
            own => Err(Error::Graph(format!("a variable of {own} elements was met with {elements}"))),
        }
    }

    /// Waits until the content can be read (`exclusive` false) or written.
    pub(crate) fn acquire(&self, exclusive: bool) {
        let mut spins = 0u32;
        loop {
            let now = self.lock.load(Ordering::Relaxed);
            let next = match exclusive {
                true if now == 0 => Some(-1),
                false if now >= 0 => Some(now + 1),
                _ => None,
            };
            if let Some(next) = next
                && self.lock.compare_exchange_weak(now, next, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                return;
            }
            spins += 1;
            if spins > 64 {
                std::thread::yield_now();
            }
        }
    }

    /// Gives back what [`CpuStorage::acquire`] took.
    pub(crate) fn release(&self, exclusive: bool) {
        if exclusive {
            self.lock.store(0, Ordering::Release);
        } else {
            self.lock.fetch_sub(1, Ordering::Release);
        }
    }

    /// The fixed address of the content.
    pub(crate) fn pointer(&self) -> *mut u32 {
        self.memory.pointer()
    }
}

impl VariableStorage for CpuStorage {
    fn read(&self, bits: &mut [u32]) -> Result<()> {
        self.expect(bits.len())?;
        self.acquire(false);
        // SAFETY: the shared lock is held, and both are of one length.
        unsafe { std::ptr::copy_nonoverlapping(self.pointer(), bits.as_mut_ptr(), bits.len()) };
        self.release(false);
        Ok(())
    }

    fn write(&self, bits: &[u32]) -> Result<()> {
        self.expect(bits.len())?;
        self.acquire(true);
        // SAFETY: the exclusive lock is held, and both are of one length.
        unsafe { std::ptr::copy_nonoverlapping(bits.as_ptr(), self.pointer(), bits.len()) };
        self.release(true);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
