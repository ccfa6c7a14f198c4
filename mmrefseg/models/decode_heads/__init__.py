from .dynamic_kernel_head import DynamicKernelHead

__all__ = ['DynamicKernelHead']
