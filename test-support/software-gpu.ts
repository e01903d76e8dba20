import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where a Chromium and a Vulkan driver to run WebGPU on are. */
export interface SoftwareGpu {
  readonly chromium: string;
  /** Manifest of the Vulkan driver. */
  readonly icd: string;
  /** The Vulkan loader that reads the manifest. */
  readonly loader: string;
}

/** Unpacks the Chromium, SwiftShader and Vulkan loader that the npm package @sparticuz/chromium carries, once per version. */
export async function softwareGpu(): Promise<SoftwareGpu> {
  const manifest = new URL('../node_modules/@sparticuz/chromium/package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));
  const folder = join(cache, `chromium-${version}`);
  if (!existsSync(folder)) {
    // Unpacked aside and renamed, so that a second run beside this one never sees half a browser.
    const aside = join(cache, `chromium-${version}.${process.pid}`);
    await unpack(aside);
    try {
      renameSync(aside, folder);
    } catch (cause) {
      if (!existsSync(folder)) throw cause;
      rmSync(aside, { recursive: true });
    }
  }
  const gpu = {
    chromium: join(folder, 'chromium'),
    icd: join(folder, 'vk_swiftshader_icd.json'),
    loader: join(folder, 'libvulkan.so.1'),
  };
  for (const path of Object.values(gpu)) if (!existsSync(path)) throw new Error(`${path} is missing`);
  return gpu;
}

async function unpack(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  try {
    const { default: bundled } = await import('@sparticuz/chromium');
    const chromium = await bundled.executablePath();
    if (dirname(chromium) !== folder) throw new Error(`@sparticuz/chromium unpacked ${chromium}, not into ${folder}`);
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
}

/** Why the browser at `chromium` does not start, or undefined if it does. */
export function whyNotRunning(chromium: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(chromium, ['--version'], { timeout: 30_000 }, (error, _out, stderr) => {
      if (!error) return resolve(undefined);
      const line = stderr.trim().split('\n')[0] || error.message;
      const missing = /loading shared libraries: (\S+):/.exec(line)?.[1];
      resolve(missing ? `Chromium needs the system library ${missing}` : `Chromium does not start: ${line}`);
    });
  });
}
