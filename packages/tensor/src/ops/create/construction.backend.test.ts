import { operations } from '../../../../../test-support/operations.ts';
import { constructionCases } from './construction.cases.ts';

operations('construction', constructionCases);
