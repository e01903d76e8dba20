export { type KernelContractCase, type KernelContractOptions, kernelContract } from './testing/kernel-contract.ts';
