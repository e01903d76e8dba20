export { createHeddle, type HeddleProvider } from './ai-sdk/provider.ts';
