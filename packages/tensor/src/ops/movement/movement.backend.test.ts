import { operations } from '../../../../../test-support/operations.ts';
import { movementCases } from './movement.cases.ts';

operations('movement', movementCases);
