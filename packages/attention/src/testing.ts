export { type KernelContractCase, type KernelContractOptions, kernelContract } from './kernel-contract.ts';
