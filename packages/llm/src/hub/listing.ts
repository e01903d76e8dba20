/** What is asked of a hub about a model: half a megabyte, loaded where it is needed. In browsers `listing.browser.ts` stands in. */
export { listFiles, modelInfo } from '@huggingface/hub';
