import { operations } from '../../../../../test-support/operations.ts';
import { identityCases } from './identity.cases.ts';

operations('identity', identityCases);
