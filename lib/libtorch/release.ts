/** Which LibTorch this package is made for, and which of its libraries are loaded, in what order. */

/** The release that `lexiseg libtorch install` fetches and that prebuilt addons are compiled with. */
export const LIBTORCH_VERSION = '2.13.0';

/** The oldest glibc that PyTorch's Linux builds run on (manylinux_2_28). */
export const MINIMUM_GLIBC = '2.28';

/** Builds of LibTorch that can be asked for by name. */
export const FLAVOURS = ['cpu', 'cu130'] as const;

export type Flavour = (typeof FLAVOURS)[number];

/**
 * Names a wanted library may have: an exact file, or a prefix followed by a version or hash
 * (PyTorch ships `libgomp.so.1` or `libgomp-a34b3233.so.1`, by build).
 */
export interface WantedLibrary {
  readonly pattern: RegExp;
  readonly label: string;
  readonly required: boolean;
}

/** Libraries in the order in which the dynamic linker must see them: dependencies first. */
export const LIBRARIES: readonly WantedLibrary[] = [
  { pattern: /^libgomp[.-].*so/, label: 'libgomp*.so*', required: true },
  { pattern: /^libc10\.so$/, label: 'libc10.so', required: true },
  { pattern: /^libtorch_cpu\.so$/, label: 'libtorch_cpu.so', required: true },
  { pattern: /^libc10_cuda\.so$/, label: 'libc10_cuda.so', required: false },
  { pattern: /^libtorch_cuda\.so$/, label: 'libtorch_cuda.so', required: false },
  { pattern: /^libtorch\.so$/, label: 'libtorch.so', required: true },
];

/** `2.13.0+cpu` → `2.13`: the part that fixes the binary interface. */
export function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}
