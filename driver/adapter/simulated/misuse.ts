/**
 * The caller broke the adapter's contract: an id that isn't there, too long private data, a send before the
 * connection. Never thrown for anything that a network, a peer or a shortage can bring about.
 */
export class AdapterMisuseError extends Error {
  override readonly name = 'AdapterMisuseError';
}
